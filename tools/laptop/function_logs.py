"""Follow the logs of the functions in the emulator."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_INTERVAL = 0.5  # seconds
_OVERLAP = 2000  # milliseconds that are read again, because the events of two streams may be out of order
_LAMBDA_LINES = ("INIT_START ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: ")

Entry = tuple[int, str, str]
"""Time in milliseconds, log stream, text."""
Write = Callable[[str, str], None]
"""Takes a function's name and one line of its log."""


class LogFollower:
    """Writes the lines that functions log from now on, without those of Lambda, in a thread of its own."""

    def __init__(self, client: CloudWatchLogsClient, functions: Mapping[str, str], write: Write) -> None:
        """Start to follow ``functions``, their names in Lambda by the names to show."""
        self._client = client
        self._functions = dict(functions)
        self._write = write
        self._seen = {name: Counter(self._entries(function, 0)) for name, function in functions.items()}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def follow(self, functions: Mapping[str, str]) -> None:
        """Follow these functions from now on, for example after one was added."""
        self._functions = dict(functions)

    def stop(self) -> None:
        """Stop. May be called twice."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            for name, function in self._functions.items():
                self._write_new(name, function)

    def _write_new(self, name: str, function: str) -> None:
        seen = self._seen.get(name, Counter())
        since = max((time for time, _, _ in seen), default=_OVERLAP) - _OVERLAP
        entries = self._entries(function, since)
        unseen = Counter(entries) - seen
        for entry in entries:
            if unseen[entry]:
                unseen[entry] -= 1
                for line in lines(entry[2]):
                    self._write(name, line)
        if entries:
            self._seen[name] = Counter(entries)

    def _entries(self, function: str, since: int) -> list[Entry]:
        group = f"/aws/lambda/{function}"
        try:
            events = self._client.filter_log_events(logGroupName=group, startTime=since)["events"]
        except (BotoCoreError, ClientError):  # no log group yet, or the emulator is stopping
            return []
        return [(event["timestamp"], event["logStreamName"], event["message"]) for event in events]


def lines(message: str) -> list[str]:
    """Return the function's own lines of a log entry, without those of Lambda."""
    return [line.rstrip() for line in message.splitlines() if not line.startswith(_LAMBDA_LINES)]
