"""Read what a Lambda function logs, once or as its log grows, and tell its own lines from Lambda's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

METRICS = '{"_aws":'
"""The start of a line with metrics (CloudWatch, "Embedded metric format specification")."""

HIDDEN_FIELDS = {
    "cold_start",
    "exception",
    "exception_name",
    "function",
    "level",
    "message",
    "service",
    "stack_trace",
    "stage",
    "timestamp",
    "xray_trace_id",
}
"""The fields of a line that are not shown as name=value: most are the same in all lines of a function."""

_LAMBDA_LINES = ("INIT_START ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: ")


class Entry(NamedTuple):
    """An entry of a log group."""

    time: int
    """Milliseconds since the epoch."""
    stream: str
    text: str


class LogReader:
    """Reads a log group, each entry once."""

    def __init__(
        self, client: CloudWatchLogsClient, log_group: str, since: int = 0, pattern: str = "", *, overlap: int
    ) -> None:
        """Read the entries since this time that match CloudWatch's filter ``pattern``; all if it is empty.

        The last ``overlap`` milliseconds are read again each time, because the entries of another stream may be late.
        """
        self._client = client
        self._log_group = log_group
        self._since = since
        self._pattern = pattern
        self._overlap = overlap
        self._seen: Counter[Entry] = Counter()

    def read_new(self) -> Iterator[Entry]:
        """Yield the entries that the last call did not. Raise ResourceNotFoundException if there is no log group."""
        found: Counter[Entry] = Counter()
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=self._log_group, startTime=self._since, filterPattern=self._pattern
        )
        for page in pages:
            for event in page["events"]:
                entry = Entry(event["timestamp"], event["logStreamName"], event["message"])
                found[entry] += 1
                if found[entry] > self._seen[entry]:
                    yield entry
            if found:
                self._since = max(self._since, max(entry.time for entry in found) - self._overlap)
                found = Counter({entry: count for entry, count in found.items() if entry.time >= self._since})
        self._seen = found or self._seen


def own_lines(message: str) -> list[str]:
    """Return the function's own lines of a log entry, without those of Lambda."""
    return [line.rstrip() for line in message.splitlines() if not line.startswith(_LAMBDA_LINES)]


def fields_of(line: str) -> dict[str, Any]:
    """Return the fields of a line that is a JSON object; none if it is not."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
