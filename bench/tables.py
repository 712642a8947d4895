"""Tables for a terminal: a name, then numbers under their headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAME, _CELL = 36, 14


def table(title: str, columns: Mapping[str, str], rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Rows of named figures as text; ``columns`` has the figures' headings. A dash stands for what is not known."""
    lines = [_line(title, list(columns.values()))]
    lines += [_line(name, [cell(figures.get(column)) for column in columns]) for name, figures in rows]
    return "\n".join(["", *lines])


def cell(value: Any) -> str:
    """A figure with three digits that count, or all of those before the point."""
    if value is None:
        return "–"
    if isinstance(value, str | int):
        return str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 or value == 0 else 4
    return f"{value:.{digits}f}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<{_NAME}}" + "".join(f"{one:>{_CELL}}" for one in cells)
