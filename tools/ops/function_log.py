"""Read the log of one function of a deployed stage, once or as it grows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tools.log_reader import METRICS, LogReader, fields_of, own_lines
from tools.ops.deployed_stage import Function, Stage

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""The levels of lines, the lowest first."""

_OVERLAP = 10_000
"""Milliseconds for which an entry of one process may come after those of others: an estimate, AWS names no limit."""


class Selection(NamedTuple):
    """Which lines are wanted."""

    since: datetime
    level: str
    """The lowest level."""
    request: str | None
    """The id of a request or of an invocation; None for all."""


class Line(NamedTuple):
    """A line of a log."""

    time: int
    """Milliseconds since the epoch."""
    text: str
    fields: dict[str, Any]
    """Empty if the line is not JSON, such as Lambda's line about a timeout."""


class FunctionLog:
    """Reads those lines of a function's log that were selected, each once. Metrics and Lambda's reports are skipped."""

    def __init__(self, stage: Stage, function: Function, selection: Selection) -> None:
        self._selection = selection
        self.exists = True
        """Whether the last call found the log group, which Lambda creates when the function first runs."""
        since = max(0, int(selection.since.timestamp() * 1000))
        # A term in quotation marks selects the entries that contain it (CloudWatch Logs, "Filter pattern syntax").
        pattern = json.dumps(selection.request, ensure_ascii=False) if selection.request else ""
        self._reader = LogReader(stage.client("logs"), function.log_group, since, pattern, overlap=_OVERLAP)

    def read_new(self) -> Iterator[Line]:
        """Yield the lines that the last call did not; none if there is no log group."""
        self.exists = True
        try:
            for entry in self._reader.read_new():
                for text in own_lines(entry.text):
                    line = Line(entry.time, text, fields_of(text))
                    if text and not text.startswith(METRICS) and self._is_selected(line):
                        yield line
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            self.exists = False

    def _is_selected(self, line: Line) -> bool:
        if not line.fields:  # an error that Lambda reports, or what a program printed: it has no level
            return not self._selection.request or self._selection.request in line.text
        levels = logging.getLevelNamesMapping()
        if levels.get(line.fields.get("level", ""), logging.CRITICAL) < levels[self._selection.level]:
            return False
        request = self._selection.request
        return not request or request in (line.fields.get("request_id"), line.fields.get("invocation_id"))
