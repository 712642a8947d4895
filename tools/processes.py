"""Run child processes in process groups of their own, so that each can be stopped with its own children.

Ctrl-C in the terminal reaches only the parent, which then stops the children in the right order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_STOP_TIMEOUT = 5.0  # seconds


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdin: int = subprocess.DEVNULL,
    output: IO[bytes] | int | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, with ``stdin``, and with stdout and stderr to ``output``.

    It inherits the file descriptors in ``keep_open``. Return the process.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        env=dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        pass_fds=tuple(keep_open),
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], timeout: float = _STOP_TIMEOUT) -> None:
    """Send SIGTERM to ``process``, wait up to ``timeout`` seconds, then kill the rest of its group."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout)
    # macOS responds with EPERM if the group has only zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    """Run ``command``, and stop it at an exception. Return its exit status and its output."""
    process = start(command, env=env, cwd=cwd, output=subprocess.PIPE)
    try:
        output, _ = process.communicate()
    except BaseException:
        stop(process)
        raise
    return process.returncode, output.decode(errors="replace")


def without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without its AWS variables, which may point to a real account."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}


def error_summary(output: str) -> str:
    """Return the end of a program's output on one line; of a traceback, the last place and the error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith('File "')]
    return " ".join([*places[-1:], *[line for line in lines[-1:] if line not in places]])
