"""What a page of 25, one read and the cleanup cost among more and more items: the app on tables in dynalite.

dynalite keeps its items in order, as DynamoDB does, and reckons the capacity that a call consumes by AWS's rules. The
local emulator does neither: for each page it looks at all that an owner has.
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

from bench import tables
from bench.packages import NODE, PROJECT
from bench.scaled import DUE
from tools import processes

COLUMNS = {
    "page_units": "page units",
    "page_ms": "page ms",
    "read_units": "read units",
    "read_ms": "read ms",
    **{f"due_{due}_units": f"{due} due units" for due in DUE},
    **{f"due_{due}_ms": f"{due} due ms" for due in DUE},
}

_READY_WITHIN = 30.0  # seconds


def table(found: Sequence[dict[str, Any]]) -> str:
    return tables.table("with so many items", COLUMNS, [(f"{one['items']:,}", one) for one in found])


def measure(report: Callable[[str], None]) -> list[dict[str, Any]]:
    """What reading and cleaning up costs on tables of several sizes."""
    with _dynalite() as url, _process(url) as process:
        assert process.stdout
        found = []
        for line in process.stdout:
            said = json.loads(line)
            if "doing" in said:
                report(f"  {said['doing']}")
            else:
                found.append(said)
    if process.returncode:
        raise RuntimeError("The process that measures ended: see above.")
    report(table(found))
    return found


@contextlib.contextmanager
def _process(endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """The app in a process of its own, which says nothing but what bench.scaled finds."""
    told = {"STAGE": "scale", "AUTH_MODE": "none", "LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}
    told |= {"BUCKET_NAME": "none", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    told |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "bench.scaled"], cwd=PROJECT, env=told, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@contextlib.contextmanager
def _dynalite() -> Iterator[str]:
    """Where dynalite answers, with its data in memory."""
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
    end = time.monotonic() + _READY_WITHIN
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("dynalite did not start.")
