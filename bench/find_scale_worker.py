"""Measure queries on tables of several sizes, and what the index costs when items are written. Write lines of JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import measured_table
from bench.measured_table import OWNER, Meter
from chalicelib.catalogue import items, search, validation
from chalicelib.catalogue.search import Condition, Query
from chalicelib.values import ids

COUNTS = (1_000, 10_000, 100_000)
PAGE = 25
TURNS = 7
"""How often each query is run at each size."""

_START = datetime(2026, 3, 1, tzinfo=UTC)
_COLOURS = ("Red", "Blue", "Green", "White")
_THINGS = tuple(f"{kind}{number}" for kind in ("vase", "bowl", "cup", "plate", "jug") for number in range(10))


def fields(number: int) -> dict[str, Any]:
    """Return the fields of an item, which has eleven records: itself, five values and five words.

    A quarter of all items have the same colour, a fiftieth the same thing, a tenth the same tag, and ten items at each
    size the same batch.
    """
    return {
        "title": f"{_COLOURS[number % 4]} {_THINGS[number // 4 % 50]} {number}",
        "price": number * 7919 % 100_003,
        "tags": [f"tag{number % 10}", f"batch{number // 10}"],
        "text": "x" * 500,
    }


def _where(field: str, operator: Any, *values: str) -> Condition:
    return Condition(field, operator, values)


QUERIES: dict[str, Query] = {
    "price is": Query((_where("price", "eq", "7919"),)),
    "price is one of five": Query((_where("price", "in", *(str(number * 7919) for number in range(1, 6))),)),
    "tag of ten items": Query((_where("tags", "has", "batch7"),)),
    "tag of a tenth": Query((_where("tags", "has", "tag7"),)),
    "title begins with, of a few": Query((_where("title", "prefix", "red vase0 40"),)),
    "title begins with, of a quarter": Query((_where("title", "prefix", "red"),)),
    "price at least, by price": Query((_where("price", "gte", "500"),), sort="price", descending=False),
    "by price": Query(sort="price", descending=False),
    "by price, highest first": Query(sort="price"),
    "last updated first": Query(sort="updatedAt"),
    "word that begins with 799": Query(words="799"),
    "word of a quarter": Query(words="red"),
    "words of a quarter and of a fiftieth": Query(words="blue bowl3"),
    "word that begins with vas, of a fifth": Query(words="vas"),
    "tag of a tenth, by price": Query((_where("tags", "has", "tag7"),), sort="price", descending=False),
    "tag of ten items, by price": Query((_where("tags", "has", "batch7"),), sort="price", descending=False),
    "price at least, newest first": Query((_where("price", "gte", "50000"),)),
}


def _records(size: int) -> Iterator[dict[str, Any]]:
    for number in range(size):
        at = _START + timedelta(seconds=number)
        yield from measured_table.records(ids.new_id(int(at.timestamp() * 1000), number), fields(number), at)


def queries(size: int, meter: Meter) -> Iterator[dict[str, Any]]:
    """Yield what the first page of each query consumes on the table with ``size`` items, and how many items it has."""
    measured_table.use(size)
    for name, query in QUERIES.items():
        page = _page(query)
        medians = measured_table.medians([{"page": meter.of(functools.partial(_page, query))} for _ in range(TURNS)])
        found = {"found": len(page.items), "more": page.last is not None}
        yield {"items": size, "query": name, "units": medians["page_units"], "ms": medians["page_ms"], **found}


def _page(query: Query) -> items.Page:
    return search.find_page(OWNER, query, PAGE, None, datetime.now(UTC))


WRITES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no declared field": ({}, {"text": "y" * 500}),
    "a title of three words": ({"title": "Blue bowl 7"}, {"title": "Red vase 8"}),
    "a price": ({"price": 120}, {"price": 130}),
    "a tag": ({"tags": ["glass"]}, {"tags": ["wood"]}),
    "a title, a price and two tags": (fields(7), {"price": 1}),
}
"""Fields of an item, beside a text that is not declared, and a patch that replaces them."""


def writes(meter: Meter) -> Iterator[dict[str, Any]]:
    """Yield the write units of creating, patching and deleting items."""
    now = datetime.now(UTC)
    later = now + timedelta(seconds=1)
    for name, (own, change) in WRITES.items():
        new = validation.validate_item({"text": "x" * 500, **own})
        create = functools.partial(items.create, OWNER, new, now)
        created = meter.written_by(create)
        id_ = create()[0].id
        patch = functools.partial(items.patch, OWNER, id_, change, later)
        patched = meter.written_by(patch)
        deleted = meter.written_by(functools.partial(items.delete, OWNER, id_, later))
        yield {"item": name, "create": created, "patch": patched, "delete": deleted}


def main() -> None:
    """Fill the tables, measure, and print the results."""
    meter = Meter()
    for size in COUNTS:
        measured_table.progress(f"filling a table with {size:,} items and their index records")
        measured_table.use(size)
        measured_table.create()
        measured_table.write_all(_records(size))
    for size in COUNTS:
        measured_table.progress(f"querying {size:,} items")
        for result in queries(size, meter):
            print(json.dumps(result), flush=True)
    for result in writes(meter):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
