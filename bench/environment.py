"""An execution environment of Lambda's, as far as a process can be one: AWS's runtime interface client in a package's
folder, with that function's variables, on one core or less.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.events import Event
from bench.packages import Variant
from bench.runtime_api import FunctionError, RuntimeApi
from bench.stand_in import Services

FULL = 1769
"""MB at which a function has one vCPU; under that, its share of one (AWS, "Configure Lambda function memory")."""

_WITHIN = 120.0  # seconds
_PERIOD = 20_000
"""Microseconds that a quota is of: long enough for the scheduler, short enough to meet a cold start of 100 ms."""


class Running(NamedTuple):
    """A process that has started, and what it took: milliseconds from its start until it asked for an event."""

    process: subprocess.Popen[bytes]
    api: RuntimeApi
    started: float
    init_ms: float
    output: Path
    services: Services

    def run(self, event: Event) -> float:
        """Runs it once; gives the time (time.perf_counter) of its answer. Raises FunctionError where it is wrong."""
        before = self.services.calls[event.calls]
        answered = self.api.invoke(event.body, _WITHIN)
        if not event.answered(answered.body) or self.services.calls[event.calls] == before:
            raise FunctionError(f"{event.name}: {str(answered.body)[:1000]}")
        return answered.at

    def cpu_ms(self) -> float:
        """Processor time of all its threads so far, to 10 ms (proc(5), stat)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory that it has held so far, in MiB (proc(5), VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) / 1024

    def written(self) -> int:
        """Bytes of log so far."""
        return self.output.stat().st_size


@contextlib.contextmanager
def running(variant: Variant, function: str, services: Services, quota: Quota) -> Iterator[Running]:
    """A fresh environment of ``function``, ended with the block. Raises FunctionError where it does not start."""
    with RuntimeApi() as api, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        output = Path(folder) / "output"
        command = quota.applied_to(variant.start(function))
        env = _variables(variant, function, api.address, services.url)
        log = stack.enter_context(output.open("wb"))
        with _on_the_last_core():
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=variant.folder, env=env, stdout=log, stderr=log)
        try:
            ready = api.await_ready(_WITHIN)
            yield Running(process, api, started, (ready - started) * 1000, output, services)
        except FunctionError as error:
            raise FunctionError(f"{variant.name}, {function}: {error} {_end(output)}") from error
        finally:
            process.kill()
            process.wait()


def _variables(variant: Variant, function: str, api: str, endpoint: str) -> dict[str, str]:
    """What Lambda sets (AWS, "Using Lambda environment variables"), the template's, and where AWS is: on loopback."""
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
        "_HANDLER": variant.handlers.get(function, "index.handler"),
        "LANG": "en_US.UTF-8",
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
        # The code's folder is read-only there: what comes without bytecode is compiled at each cold start.
        "PYTHONDONTWRITEBYTECODE": "1",
        "STAGE": "local",
        **variant.variables.get(function, {}),
    }


@contextlib.contextmanager
def _on_the_last_core() -> Iterator[None]:
    """A process that is started meanwhile runs there and nowhere else, where the system can see to it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _end(output: Path) -> str:
    return output.read_bytes()[-2000:].decode(errors="replace")


# --------------------------------------------------------------------------------------------------------------- quotas


class Quota(NamedTuple):
    """A control group that holds what runs in it to a share of one core; without one, all of a core."""

    memory: int
    """Whose share it is: that of a function with so many MB."""
    procs: Path | None = None

    def applied_to(self, command: list[str]) -> list[str]:
        if self.procs is None:
            return command
        return ["/bin/sh", "-c", f'echo $$ > {self.procs} && exec "$@"', "sh", *command]


def share(memory: int) -> float:
    """The share of one core that a function of ``memory`` MB has; more than one core helps no code of one thread."""
    return min(1.0, memory / FULL)


@contextlib.contextmanager
def quota(memory: int) -> Iterator[Quota | None]:
    """A quota as a function of ``memory`` MB has it, or None where this system gives none: it takes root on Linux."""
    group = None
    try:
        group = _group(int(_PERIOD * share(memory)))
        yield None if group is None else Quota(memory, group / "cgroup.procs")
    finally:
        if group is not None:
            group.rmdir()


def _group(limit: int) -> Path | None:
    """A new control group (cgroups(7), version 1 or 2) of ``limit`` microseconds in each period, or None."""
    root, name = Path("/sys/fs/cgroup"), f"vitrine-bench-{os.getpid()}"
    old = (root / "cpu" / "cpu.cfs_quota_us").exists()
    group = root / "cpu" / name if old else root / name
    settings = (
        {"cpu.cfs_period_us": f"{_PERIOD}", "cpu.cfs_quota_us": f"{limit}"}
        if old
        else {"cpu.max": f"{limit} {_PERIOD}"}
    )
    made = False
    try:
        group.mkdir()
        made = True
        for setting, value in settings.items():
            (group / setting).write_text(value, encoding="ascii")
    except OSError:
        if made:
            group.rmdir()
        return None
    return group
