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
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSResponse

from bench import text_tables
from bench.function_packages import PROJECT
from chalicelib import aws, config

AIM_US = 50
AIM = f"Aim: a traced call takes at most {AIM_US} µs more."
CALLS = 100
"""The calls per turn: their documents fit into the buffer of the daemon's socket, which is emptied in between."""

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
    """Return the median microseconds of a call in each case and how many more than without traces, and the import."""
    with _environment(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        calls = _cases(daemon)
        for call in calls.values():
            call()
        taken = [{name: call() for name, call in calls.items()} for _ in range(turns)]
        found: dict[str, Any] = results(taken)
        report(text_tables.table("a call of DynamoDB", COLUMNS, list(found.items())))
        found["import_ms"] = round(statistics.median(_import_ms() for _ in range(turns)), 2)
    report(f"Import, with the first client: {found['import_ms']} ms, if there is a daemon.")
    report(AIM)
    return found


def results(turns: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the medians of the turns, and the medians of the differences within each turn."""
    return {
        name: {
            "call_us": round(statistics.median(turn[name] for turn in turns), 1),
            "more_us": round(statistics.median(turn[name] - turn[UNTRACED] for turn in turns), 1),
        }
        for name in turns[0]
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


def _cases(daemon: socket.socket) -> dict[str, Callable[[], float]]:
    """Return what measures a call in each case: microseconds of processor time."""
    untraced, traced = _client(None), _client(f"127.0.0.1:{daemon.getsockname()[1]}")

    def sampled() -> float:
        taken = _microseconds(traced, HEADER + "1")
        for _ in range(CALLS):
            daemon.recv(65_535)  # fails if one is missing
        return taken

    return {
        UNTRACED: lambda: _microseconds(untraced, HEADER + "1"),
        UNSAMPLED: lambda: _microseconds(traced, HEADER + "0"),
        SAMPLED: sampled,
    }


def _client(daemon: str | None) -> Any:
    """Return a new client of DynamoDB that sends to no network."""
    for cached in (aws._client, aws._session):  # noqa: SLF001
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


def _microseconds(client: Any, header: str) -> float:
    key = {"pk": {"S": "owner"}, "sk": {"S": "item"}}
    with mock.patch.dict(os.environ, {"_X_AMZN_TRACE_ID": header}):
        started = time.process_time()
        for _ in range(CALLS):
            client.get_item(TableName="vitrine-prod-items", Key=key)
        return (time.process_time() - started) * 1e6 / CALLS


def _import_ms() -> float:
    printed = subprocess.run([sys.executable, "-c", IMPORT], cwd=PROJECT, capture_output=True, text=True, check=True)
    return float(printed.stdout)
