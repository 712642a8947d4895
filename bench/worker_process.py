"""Measure tasks in processes of their own, so that their memory is measured separately."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

Task = Callable[[bytes], object]


class Worker:
    """A process that reads tasks from standard input and answers with the time that each took; a context manager."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(self, task: str, path: Path) -> float:
        """Run ``task`` on the file at ``path`` and return the milliseconds that it took."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"task": task, "path": str(path)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The process for {task} ended: see above.")
        return float(json.loads(answer)["ms"])

    def peak_mb(self) -> float | None:
        """Return the peak memory of the process so far in MiB, or None if the system is not Linux."""
        return peak_mb(self._process.pid) if sys.platform == "linux" else None


def peak_mb(process: int) -> float:
    """Return the peak memory of a process and those below it, in MiB, on Linux.

    It is the sum of their peaks (proc(5), VmHWM), and counts shared memory several times. The peak of getrusage(2)
    would include the time before a process ran its program.
    """
    return sum(_peak_kb(one) for one in family(process)) / 1024


def cpu_ms(process: int) -> float:
    """Return the processor time of a process and those below it so far, exact to microseconds, on Linux."""
    # clock_getcpuclockid(3), which Python's standard library lacks: CPUCLOCK_SCHED of the whole process.
    return sum(time.clock_gettime(~one << 3 | 2) for one in family(process)) * 1000


def family(process: int) -> list[int]:
    """Return a process and all below it (proc(5), children)."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    below = [int(child) for one in lists for child in one.read_text(encoding="ascii").split()]
    return [process, *(each for child in below for each in family(child))]


def _peak_kb(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0


def serve(tasks: Mapping[str, Task], clock: Callable[[], float]) -> None:
    """Run the tasks that standard input requests, and write their durations by ``clock``, without reading the file.

    The output of tasks, such as metrics, is discarded, so that it is not taken for an answer.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        data = Path(request["path"]).read_bytes()
        started = clock()
        tasks[request["task"]](data)
        print(json.dumps({"ms": (clock() - started) * 1000}), file=answers, flush=True)
