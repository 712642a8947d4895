"""The worker processes of `make bench`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.worker_process import Worker

PROJECT = Path(__file__).parents[3]
TASKS = """
import time
from bench import worker_process
worker_process.serve({"talk": print}, time.perf_counter)
"""


def test_output_of_a_task_is_discarded(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"x")

    with Worker([sys.executable, "-c", TASKS], PROJECT, os.environ) as worker:
        taken = [worker.run("talk", tmp_path / "picture") for _ in range(3)]

    assert all(milliseconds >= 0 for milliseconds in taken)
