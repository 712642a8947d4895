"""A process that measures: what is measured in it disturbs nothing else, and its peak of memory is its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

Task = Callable[[bytes], object]


class Worker:
    """One such process. It is told on standard input what to do next, and answers with what it took."""

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

    def do(self, task: str, path: Path) -> float:
        """Has ``task`` done on the file at ``path`` and gives the milliseconds that it took."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"task": task, "path": str(path)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The process for {task} ended: see above.")
        return float(json.loads(answer)["ms"])

    def peak(self) -> float | None:
        """The most memory that the process has held so far, in MiB; None where the system does not tell (not Linux).

        From proc(5), VmHWM: the peak that getrusage(2) tells takes in what the process was before it was this one.
        """
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) / 1024 if found else None


def serve(tasks: Mapping[str, Task], clock: Callable[[], float]) -> None:
    """The other end, in Python: does what comes in, and says what it took by ``clock``, reading the file aside.

    What a task prints itself, such as metrics, goes nowhere: it would be taken for an answer.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    for line in sys.stdin:
        asked = json.loads(line)
        data = Path(asked["path"]).read_bytes()
        started = clock()
        tasks[asked["task"]](data)
        print(json.dumps({"ms": (clock() - started) * 1000}), file=answers, flush=True)
