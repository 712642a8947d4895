"""The hourly cleanup, now."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.config import Config

from chalicelib.values.times import format_time
from tools.ops import logs
from tools.ops.stage import Function, Stage
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

_ENTRY_FAILED = "What was due could not be done"  # what the cleanup logs of each (chalicelib/catalogue/cleanup.py)
_TIME_UP = "The time is up: the next sweep goes on"
_PATIENCE = 15.0  # seconds until a line is in CloudWatch


class Failure(NamedTuple):
    """Something that was due and could not be done."""

    kind: str
    id: str
    error: str
    """The last line of the exception."""


class Swept(NamedTuple):
    """What a cleanup did."""

    counts: dict[str, int]
    """How many of each kind, as the metrics ``Cleanup.<kind>`` count them."""
    failures: list[Failure]
    """Of as many as ``counts["failed"]`` says, those that the logs name."""
    finished: bool
    """Whether it came to the end; if not, the next one goes on."""


def run(stage: Stage) -> Swept:
    """Have the cleanup do what is due. Raises StageError with its error where it fails as a whole."""
    began = datetime.now(UTC)
    (function, *_) = stage.functions("clean_up")
    answer = _invoke(stage, function)
    said = json.load(answer["Payload"])
    if answer.get("FunctionError"):
        raise StageError(f"The cleanup failed: {said.get('errorType', '')} {said.get('errorMessage', said)}".strip())
    lines = _own_lines(answer.get("LogResult", ""))
    finished = not any(line["message"] == _TIME_UP for line in lines)
    failures = _failures(stage, function, began, lines, said.get("failed", 0))
    return Swept(said, failures, finished)


def _invoke(stage: Stage, function: Function) -> InvocationResponseTypeDef:
    # As long as it may take, and once: a second try would be a second cleanup beside the first.
    patient = Config(read_timeout=function.timeout + 30, retries={"total_max_attempts": 1})
    answer: InvocationResponseTypeDef = stage.client("lambda", config=patient).invoke(
        FunctionName=function.name, LogType="Tail", Payload=json.dumps(_scheduled(datetime.now(UTC)))
    )
    return answer


def _failures(
    stage: Stage, function: Function, began: datetime, lines: list[dict[str, Any]], number: int
) -> list[Failure]:
    if not number or not lines:
        return []
    run_id = lines[-1].get("invocation_id")
    client, end = stage.client("logs"), time.monotonic() + _PATIENCE
    while True:
        entries = logs.read(client, [function], began - timedelta(minutes=10), f'"{_ENTRY_FAILED}"')
        said = [entry.fields or {} for entry in entries]
        found = [one for one in said if one.get("message") == _ENTRY_FAILED and one.get("invocation_id") == run_id]
        if len(found) >= number or time.monotonic() > end:
            return [Failure(one["kind"], one["id"], logs.last_line(one.get("exception", ""))) for one in found]
        time.sleep(1)


def _own_lines(tail: str) -> list[dict[str, Any]]:
    """The lines that the function wrote last: Lambda gives the last 4 KB, of which the first may be cut."""
    at = datetime.now(UTC)
    texts = base64.b64decode(tail).decode(errors="replace").splitlines()
    said = (logs.Entry(at, "clean_up", text).fields for text in texts)
    return [fields for fields in said if fields and "message" in fields]


def _scheduled(at: datetime) -> dict[str, Any]:
    """The event of EventBridge's schedule, as far as Chalice reads it."""
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
