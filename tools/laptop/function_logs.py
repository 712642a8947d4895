"""Follow the logs of the functions in the emulator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from tools.log_reader import LogReader, own_lines

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_INTERVAL = 0.5  # seconds
_OVERLAP = 2000  # milliseconds

Write = Callable[[str, str], None]
"""A function that writes a line, given the name of the Lambda function that logged it."""


class LogFollower:
    """Writes the lines that functions log from now on, without those of Lambda, in a thread of its own."""

    def __init__(self, client: CloudWatchLogsClient, functions: Mapping[str, str], write: Write) -> None:
        """Start to follow ``functions``, their names in Lambda by the names to show."""
        self._client = client
        self._write = write
        self._readers: dict[tuple[str, str], LogReader] = {}
        self.follow(functions)
        for reader in self._readers.values():
            list(_new_lines(reader))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def follow(self, functions: Mapping[str, str]) -> None:
        """Follow these functions from now on, for example after one was added."""
        self._readers = {one: self._readers.get(one) or self._reader(one[1]) for one in functions.items()}

    def stop(self) -> None:
        """Stop. May be called twice."""
        self._ended.set()
        self._thread.join()

    def _reader(self, function: str) -> LogReader:
        return LogReader(self._client, f"/aws/lambda/{function}", overlap=_OVERLAP)

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            for (name, _), reader in self._readers.items():
                for line in _new_lines(reader):
                    self._write(name, line)


def _new_lines(reader: LogReader) -> Iterator[str]:
    try:
        for entry in reader.read_new():
            yield from own_lines(entry.text)
    except (BotoCoreError, ClientError):  # no log group yet, or the emulator is stopping
        return
