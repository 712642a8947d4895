"""Measure what the traces of AWS calls cost: processor time of a call, and of the import that the first client needs.

AWS's responses come from this process, so that only the work of botocore and of the traces is measured.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSResponse

from bench import text_tables
from bench.function_packages import PROJECT
from chalicelib import aws, config

AIM_US = 50
AIM = f"Aim: a traced call takes at most {AIM_US} µs more."
BLOCKS, CALLS = 10, 10
"""The blocks per turn, and the calls per block, in which the cases take turns. A call is measured alone."""

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="
UNTRACED, UNSAMPLED, SAMPLED = "no daemon", "not sampled", "sampled"
COLUMNS = {"call_us": "call, µs", "more_us": "more, µs"}

IMPORT = """
import time
import app
from chalicelib import aws
from botocore.hooks import HierarchicalEmitter
started = time.process_time()
from chalicelib.aws import traces
traces.trace_calls(HierarchicalEmitter(), "127.0.0.1:2000")
print((time.process_time() - started) * 1000)
"""


def measure(turns: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Return the median microseconds of a call in each case, and by how much they exceed those without a daemon.

    Return also the median milliseconds of the import.
    """
    with _environment(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        cases = _cases(daemon)
        for block in cases.values():
            block()
        taken = [{name: block() for name, block in cases.items()} for _ in range(turns * BLOCKS)]
    found: dict[str, Any] = results(taken)
    report(text_tables.table("a call of DynamoDB", COLUMNS, list(found.items())))
    found["import_ms"] = _import_ms(turns)
    report(f"Import, with the first client: {found['import_ms']} ms, if there is a daemon.")
    report(AIM)
    return found


def results(blocks: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, dict[str, float]]:
    """Return the median of the calls in each case, and by how much it exceeds that without a daemon."""
    medians = {name: statistics.median(call for block in blocks for call in block[name]) for name in blocks[0]}
    return {
        name: {"call_us": round(median, 1), "more_us": round(median - medians[UNTRACED], 1)}
        for name, median in medians.items()
    }


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Set the variables of a deployed function."""
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": "api_handler",
        "BUCKET_NAME": "vitrine-prod-123456789012-eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
    }
    with mock.patch.dict(os.environ, variables):
        config.settings.cache_clear()
        yield
    config.settings.cache_clear()


def _cases(daemon: socket.socket) -> dict[str, Callable[[], list[float]]]:
    """Return a function for each case that measures a block of calls."""
    untraced, traced = _client(None), _client(f"127.0.0.1:{daemon.getsockname()[1]}")

    def sampled() -> list[float]:
        taken = _microseconds(traced, HEADER + "1")
        for _ in taken:
            daemon.recv(65_535)  # fails if one is missing
        return taken

    return {
        UNTRACED: lambda: _microseconds(untraced, HEADER + "1"),
        UNSAMPLED: lambda: _microseconds(traced, HEADER + "0"),
        SAMPLED: sampled,
    }


def _client(daemon: str | None) -> Any:
    """Return a new client of DynamoDB that sends to no network."""
    for cached in (aws._client, aws._session):  # noqa: SLF001 - as in a new process
        cached.cache_clear()
    with mock.patch.dict(os.environ, {"AWS_XRAY_DAEMON_ADDRESS": daemon} if daemon else {}):
        client: Any = aws.dynamodb()
    client.meta.events.register_first("before-send", _respond)
    return client


class _Raw:
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield b'{"Item": {"pk": {"S": "owner"}, "sk": {"S": "item"}}}'


def _respond(request: Any, **_: Any) -> AWSResponse:
    headers: Any = {"x-amzn-requestid": "A" * 52}
    return AWSResponse(request.url, 200, headers, _Raw())


def _microseconds(client: Any, header: str) -> list[float]:
    """Return the microseconds of processor time of each call of a block."""
    with mock.patch.dict(os.environ, {"_X_AMZN_TRACE_ID": header}):
        return [_call(client) for _ in range(CALLS)]


def _call(client: Any) -> float:
    started = time.thread_time_ns()
    client.get_item(TableName="vitrine-prod-items", Key={"pk": {"S": "owner"}, "sk": {"S": "item"}})
    return (time.thread_time_ns() - started) / 1000


def _import_ms(turns: int) -> float:
    """Return the median milliseconds of the import in a new process, with bytecode as in the bundle."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        variables["PYTHONPYCACHEPREFIX"] = folder

        def measured() -> float:
            command = [sys.executable, "-c", IMPORT]
            return float(subprocess.check_output(command, cwd=PROJECT, env=variables))

        measured()  # It writes the bytecode.
        return round(statistics.median(measured() for _ in range(turns)), 2)
