"""Child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools import processes

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])
print(child.pid)
child.wait()
"""


def start(code: str, tmp_path: Path) -> subprocess.Popen[bytes]:
    return processes.start([sys.executable, "-u", "-c", code], env=os.environ, cwd=tmp_path, output=subprocess.PIPE)


def test_children_of_a_process_end_with_it(tmp_path: Path) -> None:
    parent = start(PARENT, tmp_path)
    assert parent.stdout is not None
    lines = {parent.stdout.readline(), parent.stdout.readline()}
    child = int((lines - {b"ready\n"}).pop())

    processes.stop(parent)

    assert parent.stdout.read() == b""  # which ends only when nobody is left to write
    assert child != parent.pid


def test_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = start(STUBBORN, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()

    processes.stop(process, timeout=0.1)

    assert process.returncode == -signal.SIGKILL


def test_process_may_be_stopped_twice(tmp_path: Path) -> None:
    process = start("", tmp_path)

    processes.stop(process)
    processes.stop(process)

    assert process.returncode is not None


def test_run_returns_status_and_output(tmp_path: Path) -> None:
    code = "import sys, os; print(os.getcwd()); print('sorry', file=sys.stderr); sys.exit(3)"

    status, output = processes.run([sys.executable, "-c", code], env=os.environ, cwd=tmp_path)

    assert status == 3
    assert set(output.split()) == {str(tmp_path.resolve()), "sorry"}


def test_exception_stops_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def interrupted(process: subprocess.Popen[bytes]) -> None:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)

    with pytest.raises(KeyboardInterrupt):
        processes.run([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ, cwd=tmp_path)

    assert started[0].returncode is not None


def test_aws_variables_are_removed() -> None:
    assert processes.without_aws({"AWS_PROFILE": "work", "AWS_REGION": "x", "PATH": "/bin"}) == {"PATH": "/bin"}
