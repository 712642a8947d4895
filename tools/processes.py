"""Child processes that leave nothing behind: each has a process group of its own, which is stopped as one.

Ctrl-C in the terminal reaches the parent alone, so that the parent decides in which order things stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_LAST_WORDS = 5.0  # seconds a group gets to leave by itself before it is killed


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    output: IO[bytes] | int | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own; both its output streams go to ``output``.

    ``keep_open`` are file descriptors that it inherits.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        pass_fds=tuple(keep_open),
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], patience: float = _LAST_WORDS) -> None:
    """Ask ``process`` to end (SIGTERM), wait ``patience`` seconds, then kill what is left of its group."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    # macOS answers EPERM where a group has only zombies left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    """Run ``command`` to its end, or stop it at an exception. Returns its exit status and all it wrote."""
    process = start(command, env=env, cwd=cwd, output=subprocess.PIPE)
    try:
        written, _ = process.communicate()
    except BaseException:
        stop(process)
        raise
    return process.returncode, written.decode(errors="replace")


def without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what it says about AWS: no account that the shell is signed in to is meant."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}
