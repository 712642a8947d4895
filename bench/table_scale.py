"""Measure a page of 25 items, one read and the cleanup on tables of several sizes, in dynalite.

dynalite keeps items sorted like DynamoDB, and calculates the consumed capacity by AWS's rules. The local emulator does
neither: for each page it reads all items of an owner.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench import text_tables
from bench.function_packages import NODE, PROJECT
from bench.table_scale_worker import DUE
from tools import processes

COLUMNS = {
    "page_units": "page units",
    "page_ms": "page ms",
    "read_units": "read units",
    "read_ms": "read ms",
    **{f"due_{due}_units": f"{due} due units" for due in DUE},
    **{f"due_{due}_ms": f"{due} due ms" for due in DUE},
}

_START_TIMEOUT = 30.0  # seconds


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table of text."""
    return text_tables.table("items in the table", COLUMNS, [(f"{one['items']:,}", one) for one in found])


def measure(report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure each operation on tables of several sizes."""
    with _dynalite() as url, _process(url) as process:
        assert process.stdout
        found = []
        for line in process.stdout:
            message = json.loads(line)
            if "progress" in message:
                report(f"  {message['progress']}")
            else:
                found.append(message)
    if process.returncode:
        raise RuntimeError("The measuring process failed: see its output above.")
    report(table(found))
    return found


@contextlib.contextmanager
def _process(endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """Start bench.table_scale_worker, which runs the app without logs and metrics."""
    env = {"STAGE": "scale", "AUTH_MODE": "none", "LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}
    env |= {"BUCKET_NAME": "none", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    env |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-B", "-m", "bench.table_scale_worker"]
    with subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@contextlib.contextmanager
def _dynalite() -> Iterator[str]:
    """Start dynalite with its data in memory. Yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = processes.start(
        [
            "node",
            NODE / "node_modules/dynalite/cli.js",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--createTableMs",
            "0",
        ],
        env={"PATH": os.environ["PATH"]},
        cwd=NODE,
        output=subprocess.DEVNULL,
    )
    try:
        _await(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop(process)


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("dynalite did not start.")
