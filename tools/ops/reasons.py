"""Why a dead letter failed: what the consumer logged of a job, what Lambda keeps beside an event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.catalogue import messages
from chalicelib.values.times import format_time
from tools.ops import logs
from tools.ops.letters import Letter
from tools.ops.stage import Function, Stage
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_MESSAGE_FAILED = "A message failed"  # what the consumer logs of each (chalicelib/catalogue/consumer.py)


class Reason(NamedTuple):
    """What went wrong, the last time that the function could say so."""

    error: str
    """The exception's name."""
    last_line: str
    """The last line of its stack, which has its sentence."""
    at: datetime


def why(stage: Stage, letters: Sequence[Letter], now: datetime) -> dict[str, Reason | str]:
    """Why each of ``letters`` failed, by its id; or, as a sentence, why that is not known."""
    known: dict[str, Reason | str] = {}
    jobs = []
    for letter in letters:
        failed = letter.failed_event
        if failed is None:
            jobs.append(letter)
        else:
            known[letter.id] = Reason(failed.error, f"{failed.error}: {failed.sentence}".strip(": "), letter.sent_at)
    return known | _of_jobs(stage, jobs, now)


def _of_jobs(stage: Stage, jobs: list[Letter], now: datetime) -> dict[str, Reason | str]:
    if not jobs:
        return {}
    try:
        consumer = stage.functions("on_messages")
    except StageError as error:
        return {letter.id: _by_itself(letter) or str(error) for letter in jobs}
    client = stage.client("logs")
    logged = _logged(client, consumer, min(letter.sent_at for letter in jobs))
    kept = None if logged.keys() >= {letter.id for letter in jobs} else _kept_since(client, consumer, now)
    return {letter.id: logged.get(letter.id) or _by_itself(letter) or _silence(letter, kept) for letter in jobs}


def _by_itself(letter: Letter) -> Reason | None:
    """Return what is wrong with a message whatever happened to it, for one that the logs do not name."""
    problem = messages.problem(letter.body)
    return Reason("InvalidRequestError", problem, letter.sent_at) if problem else None


def _logged(client: CloudWatchLogsClient, consumer: Sequence[Function], since: datetime) -> dict[str, Reason]:
    last = {}
    for entry in logs.read(client, consumer, since, f'"{_MESSAGE_FAILED}"'):
        said = entry.fields or {}
        if said.get("message") == _MESSAGE_FAILED and "message_id" in said:
            last_line = logs.last_line(said.get("exception", ""))
            last[said["message_id"]] = Reason(said.get("exception_name", ""), last_line, entry.at)
    return last


def _kept_since(client: CloudWatchLogsClient, functions: Sequence[Function], now: datetime) -> datetime | None:
    """From when on the logs of ``functions`` are there, or None where there are none at all."""
    starts = []
    for function in functions:
        for group in client.describe_log_groups(logGroupNamePrefix=function.log_group)["logGroups"]:
            if group["logGroupName"] == function.log_group:
                made = datetime.fromtimestamp(group["creationTime"] / 1000, UTC)
                days = group.get("retentionInDays")
                starts.append(max(made, now - timedelta(days=days)) if days else made)
    return min(starts, default=None)


def _silence(letter: Letter, kept: datetime | None) -> str:
    if kept is None:
        return "The consumer's logs are gone."
    if letter.sent_at < kept:
        return f"The consumer's logs of that time are gone: they go back to {format_time(kept)}."
    return "No log line names it: the consumer ended before it could say why (time or memory), or never had it."
