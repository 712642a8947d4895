"""Run a measuring process against dynalite, a server that imitates DynamoDB.

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
from collections.abc import Callable, Iterator
from typing import Any

from bench.function_packages import NODE, PROJECT
from tools import processes

_START_TIMEOUT = 30.0  # seconds


def run(module: str, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run a module, which prints lines of JSON. Return them, and report those that say ``progress`` at once."""
    found = []
    with _server() as url, _process(module, url) as process:
        assert process.stdout
        for line in process.stdout:
            message = json.loads(line)
            if "progress" in message:
                report(f"  {message['progress']}")
            else:
                found.append(message)
    if process.returncode:
        raise RuntimeError("The measuring process failed: see its output above.")
    return found


@contextlib.contextmanager
def _process(module: str, endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """Start a module, which runs the app without logs and metrics."""
    env = {"STAGE": "scale", "AUTH_MODE": "none", "LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}
    env |= {"BUCKET_NAME": "none", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    env |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-B", "-m", module]
    with subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@contextlib.contextmanager
def _server() -> Iterator[str]:
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
