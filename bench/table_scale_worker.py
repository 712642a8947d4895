"""Measure a page, a read and a cleanup run of the app on tables of several sizes in turns. Write lines of JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from bench import measured_table
from bench.measured_table import OWNER, Consumed, Meter
from chalicelib.catalogue import hourly_cleanup, items
from chalicelib.values import ids

COUNTS = (1_000, 10_000, 100_000)
DUE = (10, 100)
"""The numbers of expired items that the cleanup deletes."""
PAGE = 25
TURNS = 21
"""How often a page and an item are read at each size."""
CLEANUPS = 3

_START = datetime(2026, 3, 1, tzinfo=UTC)
_FIELDS = {"title": "Vase", "text": "x" * 500}


def _id(number: int) -> str:
    return ids.new_id(int((_START + timedelta(seconds=number)).timestamp() * 1000), number)


def _records(number: int, expires_at: datetime | None = None) -> list[dict[str, Any]]:
    return measured_table.records(_id(number), _FIELDS, _START + timedelta(seconds=number), expires_at)


def _items_alone(size: int) -> Iterator[dict[str, Any]]:
    """Yield the records of items, created one second apart, without their index records: nothing here reads those."""
    return (_records(number)[0] for number in range(size))


def page(size: int) -> None:
    """Read the page that follows the item in the middle."""
    found = items.list_page(OWNER, items.ListRange(), PAGE, _id(size // 2), datetime.now(UTC))
    if len(found.items) != PAGE:
        raise RuntimeError("The page is not full.")


def run_cleanup(at: datetime, due: int) -> None:
    """Run the cleanup, which must delete ``due`` expired items."""
    done = hourly_cleanup.run(at, SimpleNamespace(get_remaining_time_in_millis=lambda: 300_000))
    if done != {"expired": due}:
        raise RuntimeError(f"The cleanup returned {done}.")


def turn(size: int, meter: Meter) -> dict[str, Consumed]:
    """Read a page and an item once."""
    return {
        "page": meter.of(lambda: page(size)),
        "read": meter.of(lambda: items.get(OWNER, _id(size // 2), datetime.now(UTC))),
    }


def clean_up(size: int, due: int, meter: Meter) -> dict[str, Consumed]:
    """Add ``due`` expired items and run the cleanup."""
    now = datetime.now(UTC)
    expired = now - timedelta(minutes=1)
    measured_table.write_all(record for number in range(size, size + due) for record in _records(number, expired))
    return {f"due_{due}": meter.of(lambda: run_cleanup(now, due))}


def main() -> None:
    """Fill the tables, measure, and print the results."""
    meter = Meter()
    for size in COUNTS:
        measured_table.progress(f"filling a table with {size:,} items")
        measured_table.use(size)
        measured_table.create()
        measured_table.write_all(_items_alone(size))
    taken: dict[int, list[dict[str, Consumed]]] = {size: [] for size in COUNTS}
    steps: list[Callable[[int], dict[str, Consumed]]] = [lambda size: turn(size, meter)] * TURNS
    for due in DUE:
        steps += [functools.partial(clean_up, due=due, meter=meter)] * CLEANUPS
    measured_table.progress("reading and cleaning up in turns")
    for step in steps:
        for size in COUNTS:
            measured_table.use(size)
            taken[size].append(step(size))
    for size in COUNTS:
        print(json.dumps({"items": size, **measured_table.medians(taken[size])}), flush=True)


if __name__ == "__main__":
    main()
