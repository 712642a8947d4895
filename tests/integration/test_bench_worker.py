"""The processes that `make bench` measures in, whatever runs in them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.worker import Worker

PROJECT = Path(__file__).parents[2]
TASKS = "from bench import worker; import time; worker.serve({'talk': lambda data: print(data)}, time.perf_counter)"


def test_what_a_task_prints_is_not_taken_for_its_answer(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"x")

    with Worker([sys.executable, "-c", TASKS], PROJECT, os.environ) as worker:
        taken = [worker.do("talk", tmp_path / "picture") for _ in range(3)]

    assert all(milliseconds >= 0 for milliseconds in taken)
