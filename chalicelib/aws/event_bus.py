"""The event bus of the stage: send events to its rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws
from chalicelib.aws import failures
from chalicelib.config import APP, settings

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

MAX_ENTRIES = 10
"""Events that EventBridge accepts in one call (AWS, "PutEvents")."""

MAX_CALL_BYTES = 250_000
"""Bytes of the events of one call. EventBridge accepts at least 256 KB, and counts some for each event."""

_REFUSALS = frozenset({"InvalidArgument", "MalformedDetail", "RedactionFailure", "ValidationException"})
"""The codes of errors that another attempt would get too, because they are about the event itself."""


class Entry(NamedTuple):
    """An event for the bus: its type, its time and its JSON."""

    type: str
    at: datetime
    json: bytes


class Outcome(NamedTuple):
    """The result of sending an event. A refused event would be refused again; a failed one may succeed later."""

    status: Literal["sent", "refused", "failed"]
    reason: str = ""


_SENT = Outcome("sent")


def send(entries: Sequence[Entry]) -> list[Outcome]:
    """Send events in this order, and return the result of each.

    If one call cannot take all of them, several calls are made. After a call in which an event failed, no other call is
    made.
    """
    outcomes: list[Outcome] = []
    for part in calls(entries):
        outcomes += _send_at_once(part)
        if any(one.status == "failed" for one in outcomes):
            break
    return outcomes + [Outcome("failed", "not sent: an event before it failed")] * (len(entries) - len(outcomes))


def calls(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield the events of each call. An event that is too large for a call with others has a call of its own."""
    start, size = 0, 0
    for end, entry in enumerate(entries):
        if end > start and (end - start == MAX_ENTRIES or size + len(entry.json) > MAX_CALL_BYTES):
            yield entries[start:end]
            start, size = end, 0
        size += len(entry.json)
    if entries:
        yield entries[start:]


def _send_at_once(entries: Sequence[Entry]) -> list[Outcome]:
    try:
        answer = aws.events().put_events(Entries=[_parameters(entry) for entry in entries])
    except ClientError as error:
        code = failures.error_code(error)
        if code not in _REFUSALS:
            return [Outcome("failed", code)] * len(entries)
        if len(entries) > 1:
            return [outcome for entry in entries for outcome in _send_at_once([entry])]
        return [Outcome("refused", f"{code}: {error.response['Error'].get('Message', '')}")]
    except BotoCoreError as error:
        return [Outcome("failed", str(error))] * len(entries)
    return [_outcome(one.get("ErrorCode"), one.get("ErrorMessage", "")) for one in answer["Entries"]]


def _outcome(code: str | None, message: str) -> Outcome:
    if code is None:
        return _SENT
    return Outcome("refused" if code in _REFUSALS else "failed", f"{code}: {message}")


def _parameters(entry: Entry) -> PutEventsRequestEntryTypeDef:
    return {
        "EventBusName": settings().event_bus,
        "Source": APP,
        "DetailType": entry.type,
        "Time": entry.at,
        "Detail": entry.json.decode(),
    }
