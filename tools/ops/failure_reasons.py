"""Why dead letters failed: from a consumer's log, from Lambda's record of a failed event, or from the message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.catalogue import messages
from tools.ops.dead_letter import DeadLetter
from tools.ops.deployed_stage import Stage
from tools.ops.log_parsing import json_lines, last_line
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

MESSAGE_FAILED = "Message failed"
"""The consumers' log message about each message that one of them fails on."""

NO_LOG_LINE = (
    "unknown: no log line names it. The function ended before it could log the error (timeout or memory), or it never"
    " received the message, or the logs of that time are deleted."
)

_DELIVERIES = "-deliveries-dead"
"""The end of the name of the queue with the dead letters of on_deliveries."""


class Reason(NamedTuple):
    """Why a dead letter failed the last time; without an error, why that is not known."""

    message: str
    error: str | None = None
    """The exception's name."""
    at: datetime | None = None


def find(stage: Stage, letters: Sequence[DeadLetter]) -> dict[str, Reason]:
    """Return why each of ``letters`` failed, by its id."""
    reasons = {}
    of_messages = []
    for letter in letters:
        if failed := letter.failed_event:
            reasons[letter.id] = Reason(f"{failed.error}: {failed.message}".strip(": "), failed.error, letter.sent_at)
        elif batch := letter.failed_batch:
            text = f"{batch.reason}: on_change did not process {batch.size} changes; its log says why"
            reasons[letter.id] = Reason(text, batch.reason, letter.sent_at)
        else:
            of_messages.append(letter)
    deliveries = [letter for letter in of_messages if letter.queue.endswith(_DELIVERIES)]
    jobs = [letter for letter in of_messages if letter not in deliveries]
    return reasons | _find_in_log(stage, "on_messages", jobs) | _find_in_log(stage, "on_deliveries", deliveries)


def _find_in_log(stage: Stage, function: str, letters: list[DeadLetter]) -> dict[str, Reason]:
    if not letters:
        return {}
    logged: dict[str, Reason] = {}
    unknown = Reason(NO_LOG_LINE)
    try:
        log_group = stage.function(function).log_group
        logged = _logged(stage.client("logs"), log_group, min(letter.sent_at for letter in letters))
    except StageError as error:
        unknown = Reason(f"unknown: {error}")
    return {letter.id: logged.get(letter.id) or _problem(letter) or unknown for letter in letters}


def _problem(letter: DeadLetter) -> Reason | None:
    """Return what is wrong with the message itself, or None if it is valid or not a job."""
    problem = None if letter.queue.endswith(_DELIVERIES) else messages.find_problem(letter.body)
    return Reason(problem, "InvalidRequestError", letter.sent_at) if problem else None


def _logged(client: CloudWatchLogsClient, log_group: str, since: datetime) -> dict[str, Reason]:
    """Return the last logged failure of each message, by message id."""
    reasons = {}
    for line in _matching_lines(client, log_group, since):
        if line.get("message") == MESSAGE_FAILED and "message_id" in line:
            reasons[line["message_id"]] = Reason(
                last_line(line.get("exception", "")),
                line.get("exception_name"),
                datetime.fromisoformat(line["timestamp"]),
            )
    return reasons


def _matching_lines(client: CloudWatchLogsClient, log_group: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines with the text. CloudWatch applies the filter exactly, the emulator loosely."""
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=log_group, startTime=int(since.timestamp() * 1000), filterPattern=f'"{MESSAGE_FAILED}"'
    )
    try:
        for page in pages:
            for event in page["events"]:
                at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat()
                yield from ({"timestamp": at, **line} for line in json_lines(event["message"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":  # no log group: nothing is logged yet
            raise
