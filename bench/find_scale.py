"""Measure queries and writes of items with the search index, on tables of several sizes, in dynalite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench import dynalite, text_tables

WRITE_COLUMNS = {"create": "create", "patch": "patch", "delete": "delete"}


def measure(report: Callable[[str], None]) -> dict[str, Any]:
    """Measure each query on tables of several sizes, and each write."""
    lines = dynalite.run("bench.find_scale_worker", report)
    found = {"queries": [one for one in lines if "query" in one], "writes": [one for one in lines if "create" in one]}
    report(query_table(found["queries"]))
    report(
        text_tables.table("write units of an item with", WRITE_COLUMNS, [(one["item"], one) for one in found["writes"]])
    )
    return found


def query_table(found: Sequence[dict[str, Any]]) -> str:
    """Return the queries as a table of text: capacity units, milliseconds and items found, by size of the table."""
    sizes = sorted({one["items"] for one in found})
    columns = {
        f"{size}_{what}": f"{size // 1000}k {heading}"
        for what, heading in (("units", "units"), ("ms", "ms"), ("found", "found"))
        for size in sizes
    }
    rows: dict[str, dict[str, Any]] = {}
    for one in found:
        row = rows.setdefault(one["query"], {})
        row |= {f"{one['items']}_{what}": one[what] for what in ("units", "ms")}
        row[f"{one['items']}_found"] = f"{one['found']}{'+' if one['more'] else ''}"
    return text_tables.table("first page of a query", columns, list(rows.items()))
