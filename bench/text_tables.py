"""Format measured figures as tables of text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_NAME_WIDTH, _CELL_WIDTH = 48, 12


def table(title: str, columns: Mapping[str, str], rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return rows of named figures as text. ``columns`` maps each figure to its heading. Missing figures are dashes."""
    lines = [_line(title, list(columns.values()))]
    lines += [_line(name, [cell(figures.get(column)) for column in columns]) for name, figures in rows]
    return "\n".join(["", *lines])


def cell(value: Any) -> str:
    """Return a figure with at least three significant digits, or a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, str | int):
        return str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 or value == 0 else 4
    return f"{value:.{digits}f}"


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<{_NAME_WIDTH}}" + "".join(f"{one:>{_CELL_WIDTH}}" for one in cells)
