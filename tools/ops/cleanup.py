"""Run the hourly cleanup now."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.config import Config

from chalicelib.values.times import format_time
from tools.ops.deployed_stage import Stage
from tools.ops.log_parsing import json_lines, last_line
from tools.stage.errors import StageError

# Log messages of chalicelib/catalogue/cleanup.py.
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
    function = stage.function("clean_up")
    # One attempt, because a second one would run beside the first; and as long as the function may take.
    config = Config(read_timeout=function.timeout + 30, retries={"total_max_attempts": 1})
    response = stage.client("lambda", config=config).invoke(
        FunctionName=function.name, LogType="Tail", Payload=json.dumps(_scheduled_event(datetime.now(UTC)))
    )
    counts = json.load(response["Payload"])
    if response.get("FunctionError"):
        error = f"{counts.get('errorType', '')} {counts.get('errorMessage', counts)}".strip()
        raise StageError(f"The cleanup failed: {error}")
    lines = list(json_lines(base64.b64decode(response.get("LogResult", "")).decode(errors="replace")))
    failures = [
        Failure(line["kind"], line["id"], last_line(line.get("exception", "")))
        for line in lines
        if line.get("message") == TASK_FAILED
    ]
    return Result(counts, failures, finished=all(line.get("message") != TIME_LIMIT for line in lines))


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
