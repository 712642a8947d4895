"""Measure a page, a read and a cleanup run of the app on tables of several sizes in turns. Write lines of JSON."""

from __future__ import annotations

import functools
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chalicelib import aws, config
from chalicelib.aws import table
from chalicelib.catalogue import cleanup, items
from chalicelib.values import ids, times

COUNTS = (1_000, 10_000, 100_000)
DUE = (10, 100)
"""The numbers of expired items that the cleanup deletes."""
PAGE = 25
TURNS = 21
"""How often a page and an item are read at each size."""
CLEANUPS = 3

_OWNER = "many"
_START = datetime(2026, 3, 1, tzinfo=UTC)
_FIELDS = {"title": "Vase", "text": "x" * 500}
_BATCH = 25
"""The most records that BatchWriteItem accepts."""


Consumed = tuple[float, float]
"""Capacity units and milliseconds."""


class Meter:
    """Adds up the capacity that the app's client reports as consumed."""

    def __init__(self) -> None:
        self.units = 0.0
        events = aws.dynamodb().meta.events
        events.register("before-parameter-build.dynamodb", _request_capacity)
        events.register("after-call.dynamodb", self._add)

    def _add(self, parsed: dict[str, Any], **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        self.units += sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))

    def of(self, act: Callable[[], object]) -> Consumed:
        """Return the capacity units and the milliseconds that ``act`` takes."""
        before, started = self.units, time.perf_counter()
        act()
        return self.units - before, (time.perf_counter() - started) * 1000


def _request_capacity(params: dict[str, Any], model: Any, **_: Any) -> None:
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "TOTAL"


def use_table(size: int) -> None:
    """Switch the app to the stage whose table has ``size`` items."""
    os.environ["STAGE"] = f"items{size}"
    config.settings.cache_clear()


def create_table() -> None:
    """Create the table of infra/resources.json, with its keys and indexes."""
    template = json.loads((Path(__file__).parents[1] / "infra" / "resources.json").read_text(encoding="utf-8"))
    found = next(one for one in template["Resources"].values() if one["Type"] == "AWS::DynamoDB::Table")["Properties"]
    kept = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    aws.dynamodb().create_table(TableName=config.settings().table, **{name: found[name] for name in kept})
    aws.dynamodb().get_waiter("table_exists").wait(TableName=config.settings().table, WaiterConfig={"Delay": 1})


def add(numbers: range, expires_at: datetime | None = None) -> list[str]:
    """Add items, created one second apart. Return their ids."""
    new = [(_id(number), _START + timedelta(seconds=number)) for number in numbers]
    for first in range(0, len(new), _BATCH):
        puts: Any = [{"PutRequest": {"Item": _record(id_, at, expires_at)}} for id_, at in new[first : first + _BATCH]]
        answer = aws.dynamodb().batch_write_item(RequestItems={config.settings().table: puts})
        if answer["UnprocessedItems"]:
            raise RuntimeError("Not all items were written.")
    return [id_ for id_, _ in new]


def _id(number: int) -> str:
    return ids.new_id(int((_START + timedelta(seconds=number)).timestamp() * 1000), number)


def _record(id_: str, at: datetime, expires_at: datetime | None) -> Any:
    created = times.format_time(at)
    values: table.Record = {"version": 1, "createdAt": created, "updatedAt": created, "fields": _FIELDS}
    due_at = None if expires_at is None else times.format_time(expires_at)
    if due_at:
        values["expiresAt"] = due_at
    return table.Put(table.Key(_OWNER, "ITEM", id_), values, due_at=due_at).parameters["Item"]


def page(size: int) -> None:
    """Read the page that follows the item in the middle."""
    found = items.list_page(_OWNER, items.Range(), PAGE, _id(size // 2), datetime.now(UTC))
    if len(found.items) != PAGE:
        raise RuntimeError("The page is not full.")


def run_cleanup(at: datetime, due: int) -> None:
    """Run the cleanup, which must delete ``due`` expired items."""
    done = cleanup.run(at, SimpleNamespace(get_remaining_time_in_millis=lambda: 300_000))
    if done != {"expired": due}:
        raise RuntimeError(f"The cleanup returned {done}.")


def turn(size: int, meter: Meter) -> dict[str, Consumed]:
    """Read a page and an item once."""
    return {
        "page": meter.of(lambda: page(size)),
        "read": meter.of(lambda: items.get(_OWNER, _id(size // 2), datetime.now(UTC))),
    }


def clean_up(size: int, due: int, meter: Meter) -> dict[str, Consumed]:
    """Add ``due`` expired items and run the cleanup."""
    now = datetime.now(UTC)
    add(range(size, size + due), expires_at=now - timedelta(minutes=1))
    return {f"due_{due}": meter.of(lambda: run_cleanup(now, due))}


def medians(taken: list[dict[str, Consumed]]) -> dict[str, float]:
    """Return the median capacity units and milliseconds of each operation."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for one in taken for name in one):
        units, durations = zip(*(one[name] for one in taken if name in one), strict=True)
        found |= {f"{name}_units": statistics.median(units), f"{name}_ms": round(statistics.median(durations), 1)}
    return found


def main() -> None:
    """Fill the tables, measure, and print the results."""

    def progress(text: str) -> None:
        print(json.dumps({"progress": text}), flush=True)

    meter = Meter()
    for size in COUNTS:
        progress(f"filling a table with {size:,} items")
        use_table(size)
        create_table()
        add(range(size))
    taken: dict[int, list[dict[str, Consumed]]] = {size: [] for size in COUNTS}
    steps: list[Callable[[int], dict[str, Consumed]]] = [lambda size: turn(size, meter)] * TURNS
    for due in DUE:
        steps += [functools.partial(clean_up, due=due, meter=meter)] * CLEANUPS
    progress("reading and cleaning up in turns")
    for step in steps:
        for size in COUNTS:
            use_table(size)
            taken[size].append(step(size))
    for size in COUNTS:
        print(json.dumps({"items": size, **medians(taken[size])}), flush=True)


if __name__ == "__main__":
    main()
