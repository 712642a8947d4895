"""Run a function as Lambda does: AWS's runtime interface client in the package's folder, on one core or less."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench import worker_process
from bench.cpu_quota import FULL, Quota
from bench.function_packages import Variant
from bench.runtime_api import Answer, FunctionError, RuntimeApi
from bench.sample_events import Event
from tests.fake_aws import FakeAws

_TIMEOUT = 120.0  # seconds


class Running(NamedTuple):
    """A process that has finished its init phase, which took ``init_ms`` from the start of the process."""

    process: subprocess.Popen[bytes]
    api: RuntimeApi
    started: float
    init_ms: float
    output: Path
    aws: FakeAws

    def run(self, event: Event) -> float:
        """Invoke the function. Return the time of its answer (perf_counter). Raise FunctionError if it is wrong."""
        return self._invoke(event).at

    def answer(self, event: Event) -> Any:
        """Invoke the function. Return its answer. Raise FunctionError if it is wrong."""
        return self._invoke(event).body

    def _invoke(self, event: Event) -> Answer:
        before = self.aws.calls[event.expected_call or ""]
        answer = self.api.invoke(event.body, _TIMEOUT)
        made_call = event.expected_call is None or self.aws.calls[event.expected_call] > before
        if not event.is_right(answer.body) or not made_call:
            raise FunctionError(f"{event.name}: {str(answer.body)[:1000]}")
        return answer

    def cpu_ms(self) -> float:
        """Return the processor time of the process and those below it so far."""
        return worker_process.cpu_ms(self.process.pid)

    def peak_mb(self) -> float:
        """Return the peak memory of the process and those below it so far in MiB."""
        return worker_process.peak_mb(self.process.pid)

    def log_bytes(self) -> int:
        """Return the number of bytes that the process has logged so far."""
        return self.output.stat().st_size


@contextlib.contextmanager
def running(variant: Variant, function: str, aws: FakeAws, quota: Quota) -> Iterator[Running]:
    """Start a new process of ``function`` and kill it at the end. Raise FunctionError if it does not start."""
    with RuntimeApi() as api, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        output = Path(folder) / "output"
        command = quota.applied_to(variant.start(function))
        env = _variables(variant, function, api.address, aws.url)
        log = stack.enter_context(output.open("wb"))
        with _on_the_last_core():
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=variant.folder, env=env, stdout=log, stderr=log)
        try:
            ready = api.await_ready(_TIMEOUT)
            yield Running(process, api, started, (ready - started) * 1000, output, aws)
        except FunctionError as error:
            raise FunctionError(f"{variant.name}, {function}: {error} {_tail(output)}") from error
        finally:
            process.kill()
            process.wait()


def _variables(variant: Variant, function: str, api: str, endpoint: str) -> dict[str, str]:
    """Return Lambda's variables (AWS, "Defined runtime environment variables"), the template's, and the endpoint."""
    return {
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(FULL),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
        "AWS_ENDPOINT_URL": endpoint,
        "LAMBDA_TASK_ROOT": str(variant.folder),
        "_HANDLER": variant.handlers[function],
        "LANG": "en_US.UTF-8",
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
        # Lambda's code folder is read-only: modules without bytecode are compiled at each cold start.
        "PYTHONDONTWRITEBYTECODE": "1",
        "STAGE": "local",
        **variant.variables.get(function, {}),
    }


@contextlib.contextmanager
def _on_the_last_core() -> Iterator[None]:
    """Restrict processes that are started in this block to the last core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tail(output: Path) -> str:
    return output.read_bytes()[-2000:].decode(errors="replace")
