"""What a stage's functions have logged: all together, in the order of time, as lines for a person or as they are.

A line of ours is a JSON object (``chalicelib/telemetry.py``); others come from Lambda, such as ``Task timed out``.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.values.times import format_time
from tools.laptop.function_logs import lines
from tools.laptop.terminal import printable
from tools.ops.stage import Function

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

EVERY = 2.0
"""Seconds between two looks when following: five functions make 2.5 calls a second, and CloudWatch allows ten."""

_LATE = timedelta(seconds=30)  # how much later than others a line may reach CloudWatch, and still be shown
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_METRICS = "_aws"  # CloudWatch's embedded metric format
_SHOWN_APART = {"timestamp", "level", "message"}
_SAID_ALREADY = {"service", "stage", "function", "exception_name", "stack_trace", "xray_trace_id"}


class Entry(NamedTuple):
    """One line of a function's log."""

    at: datetime
    function: str
    """What app.py calls it."""
    text: str
    stream: str = ""

    @property
    def fields(self) -> dict[str, Any] | None:
        """What it says, where it is a JSON object."""
        try:
            said = json.loads(self.text)
        except ValueError:
            return None
        return said if isinstance(said, dict) else None


def read(
    client: CloudWatchLogsClient, functions: Sequence[Function], since: datetime, pattern: str = ""
) -> list[Entry]:
    """What ``functions`` have logged since then, the oldest first, without what Lambda adds to each run.

    ``pattern`` is one of CloudWatch's (AWS, "Filter pattern syntax"), for fewer of them; the emulator takes it loosely.
    """
    entries = [entry for function in functions for entry in _entries(client, function, since, pattern)]
    return sorted(entries, key=lambda entry: entry.at)


def follow(client: CloudWatchLogsClient, functions: Sequence[Function], since: datetime) -> Iterator[Entry]:
    """Yields what ``functions`` log from then on, without end: each line once, and late ones too."""
    seen: Counter[Entry] = Counter()
    while True:
        found = read(client, functions, since)
        unseen = Counter(found) - seen
        for entry in found:
            if unseen[entry]:
                unseen[entry] -= 1
                yield entry
        if found:
            seen = Counter(found)
            since = max(since, found[-1].at - _LATE)
        time.sleep(EVERY)


def readable(entry: Entry) -> str | None:
    """An entry as one line: time, function, level, message, the rest. None for metrics, which are for CloudWatch."""
    said = entry.fields
    if said is None:
        return _line(entry, "", entry.text)
    if _METRICS in said:
        return None
    hidden = _SHOWN_APART | _SAID_ALREADY
    if said.get("invocation_id") == said.get("request_id"):
        hidden = hidden | {"invocation_id"}  # the two differ behind API Gateway alone
    rest = [f"{name}={_value(name, said[name])}" for name in said if name not in hidden]
    return _line(entry, str(said.get("level", "")), str(said.get("message", "")), *rest)


def as_it_is(entry: Entry) -> str:
    """An entry as its function wrote it; one that is no JSON is wrapped up, so that every line of the output is."""
    if entry.fields is not None:
        return entry.text
    wrapped = {"timestamp": format_time(entry.at), "function": entry.function, "message": entry.text}
    return json.dumps(wrapped, ensure_ascii=False)


def last_line(stack: str) -> str:
    """Of an exception's stack, the line that says what it is."""
    said = [line.strip() for line in stack.splitlines() if line.strip()]
    return said[-1] if said else ""


def period(text: str) -> timedelta:
    """``90s``, ``10m``, ``2h`` or ``1d``. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,4})([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is no period: it looks like 90s, 10m, 2h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _entries(client: CloudWatchLogsClient, function: Function, since: datetime, pattern: str) -> Iterator[Entry]:
    narrowed: Any = {"filterPattern": pattern} if pattern else {}
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=function.log_group, startTime=int(since.timestamp() * 1000), **narrowed
    )
    try:
        for page in pages:
            for event in page["events"]:
                at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
                for line in lines(event["message"]):
                    if line:
                        entry = Entry(at, function.handler, line, event["logStreamName"])
                        yield entry._replace(at=_said_at(entry))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        # It has logged nothing yet.


def _said_at(entry: Entry) -> datetime:
    """When a line was written, by itself: the emulator gives all lines of a run the time of its end."""
    said = (entry.fields or {}).get("timestamp")
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        return entry.at
    return at if at.tzinfo else entry.at


def _line(entry: Entry, level: str, message: str, *rest: str) -> str:
    head = f"{format_time(entry.at)} {entry.function:<11} {level:<8}"
    return printable("  ".join([head + message, *rest])).rstrip()


def _value(name: str, value: Any) -> str:
    if name == "exception":
        value = last_line(str(value))
    plain = isinstance(value, str) and re.fullmatch(r"[^\s\"=]+", value)
    return str(value) if plain else json.dumps(value, ensure_ascii=False)
