"""Measure a page of 25 items, one read and the cleanup on tables of several sizes, in dynalite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench import dynalite, text_tables
from bench.table_scale_worker import DUE

COLUMNS = {
    "page_units": "page units",
    "page_ms": "page ms",
    "read_units": "read units",
    "read_ms": "read ms",
    **{f"due_{due}_units": f"{due} due units" for due in DUE},
    **{f"due_{due}_ms": f"{due} due ms" for due in DUE},
}


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table of text."""
    return text_tables.table("items in the table", COLUMNS, [(f"{one['items']:,}", one) for one in found])


def measure(report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure each operation on tables of several sizes."""
    found = dynalite.run("bench.table_scale_worker", report)
    report(table(found))
    return found
