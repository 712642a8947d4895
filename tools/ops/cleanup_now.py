"""Run the hourly cleanup now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from chalicelib.values.times import format_time
from tools.ops import invocation
from tools.ops.deployed_stage import Stage
from tools.ops.log_parsing import json_lines, last_line
from tools.stage.errors import StageError

# Log messages of chalicelib/catalogue/hourly_cleanup.py.
TASK_FAILED = "Cleanup task failed"
TIME_LIMIT = "Time limit reached; continuing in the next run"


class Failure(NamedTuple):
    """A cleanup task that failed, and stays due."""

    kind: str
    id: str
    error: str
    """The last line of its traceback."""


class Result(NamedTuple):
    """What a run of the cleanup did."""

    counts: dict[str, int]
    """The number of tasks by result, as in the metrics ``Cleanup.<result>``."""
    failures: list[Failure]
    """The last of the ``counts["failed"]`` tasks that failed: Lambda returns the last 4 KB of the log."""
    finished: bool
    """Whether everything that was due was tried; if not, the next run continues."""


def run(stage: Stage) -> Result:
    """Invoke the cleanup function and wait for it. Raise StageError if the run failed as a whole."""
    outcome = invocation.invoke(stage, stage.function("clean_up"), _scheduled_event(datetime.now(UTC)))
    if outcome.error:
        raise StageError(f"The cleanup failed: {outcome.error}")
    lines = list(json_lines("\n".join(outcome.log)))
    failures = [
        Failure(line["kind"], line["id"], last_line(line.get("exception", "")))
        for line in lines
        if line.get("message") == TASK_FAILED
    ]
    return Result(outcome.result, failures, finished=all(line.get("message") != TIME_LIMIT for line in lines))


def _scheduled_event(at: datetime) -> dict[str, Any]:
    """Return the event of EventBridge's schedule, with the fields that Chalice reads."""
    return {
        "version": "0",
        "id": "tools.ops",
        "detail-type": "Scheduled Event",
        "source": "tools.ops",
        "account": "",
        "time": format_time(at),
        "region": "",
        "resources": [],
        "detail": {},
    }
