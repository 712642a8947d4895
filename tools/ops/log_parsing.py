"""Parse the functions' logs, which are JSON lines (``chalicelib/telemetry.py``) among lines of Lambda's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def json_lines(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among the lines of ``text``. Lambda's own lines, and lines cut off, are skipped."""
    for line in text.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content


def last_line(traceback: str) -> str:
    """Return the last line of a traceback, which has the exception and its message."""
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    return lines[-1] if lines else ""
