"""The logs of the functions in the emulator, as they are written."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_EVERY = 0.5  # seconds
_WINDOW = 2000  # milliseconds that are read again, as two streams' events may come out of order
_PLATFORM = ("INIT_START ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: ")

Entry = tuple[int, str, str]
"""Its time in milliseconds, its stream, its text."""
Write = Callable[[str, str], None]
"""Takes a function's name and one line of its log."""


class Tail:
    """Hands on, from a thread of its own, what functions log from now on, without what Lambda adds."""

    def __init__(self, client: CloudWatchLogsClient, functions: Mapping[str, str], write: Write) -> None:
        """``functions`` are the functions' names in Lambda, by the names to show."""
        self._client = client
        self._functions = dict(functions)
        self._write = write
        self._seen = {name: Counter(self._entries(name, 0)) for name in functions}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. May be called twice."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            for name in self._functions:
                self._hand_on(name)

    def _hand_on(self, name: str) -> None:
        since = max((time for time, _, _ in self._seen[name]), default=_WINDOW) - _WINDOW
        entries = self._entries(name, since)
        unseen = Counter(entries) - self._seen[name]
        for entry in entries:
            if unseen[entry]:
                unseen[entry] -= 1
                for line in lines(entry[2]):
                    self._write(name, line)
        if entries:
            self._seen[name] = Counter(entries)

    def _entries(self, name: str, since: int) -> list[Entry]:
        group = f"/aws/lambda/{self._functions[name]}"
        try:
            events = self._client.filter_log_events(logGroupName=group, startTime=since)["events"]
        except (BotoCoreError, ClientError):  # nothing logged yet, or the emulator is stopping
            return []
        return [(event["timestamp"], event["logStreamName"], event["message"]) for event in events]


def lines(message: str) -> list[str]:
    """The lines of a log entry that the function itself wrote."""
    return [line.rstrip() for line in message.splitlines() if not line.startswith(_PLATFORM)]
