"""Fill tables of dynalite and measure the capacity that calls of the app consume, within a measuring process."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from chalicelib import aws, config
from chalicelib.catalogue import items, validation
from chalicelib.values import times

OWNER = "many"

_BATCH = 25
"""The most records that BatchWriteItem accepts."""

_WRITES = ("PutItem", "DeleteItem", "BatchWriteItem")

Consumed = tuple[float, float]
"""Capacity units and milliseconds."""


class Meter:
    """Adds up the capacity that the app's client reports as consumed.

    dynalite has no transactions: their writes are sent one by one, and count twice, as AWS charges for them (AWS,
    "Capacity management for transactions").
    """

    def __init__(self) -> None:
        self.units = self.write_units = 0.0
        self._times = 1
        client: Any = aws.dynamodb()
        client.transact_write_items = self._transact
        self._client = client
        events = self._client.meta.events
        events.register("before-parameter-build.dynamodb", _request_capacity)
        events.register("after-call.dynamodb", self._add)

    def _add(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        each = consumed if isinstance(consumed, list) else [consumed]
        units = self._times * sum(one["CapacityUnits"] for one in each)
        self.units += units
        if model.name in _WRITES:
            self.write_units += units

    def _transact(self, TransactItems: list[dict[str, Any]]) -> None:  # noqa: N803 (as boto3 names it)
        self._times = 2
        try:
            for action in TransactItems:
                [(kind, parameters)] = action.items()
                (self._client.put_item if kind == "Put" else self._client.delete_item)(**parameters)
        finally:
            self._times = 1

    def written_by(self, act: Callable[[], object]) -> float:
        """Return the capacity units of the writes of ``act``."""
        before = self.write_units
        act()
        return self.write_units - before

    def of(self, act: Callable[[], object]) -> Consumed:
        """Return the capacity units and the milliseconds that ``act`` takes."""
        before, started = self.units, time.perf_counter()
        act()
        return self.units - before, (time.perf_counter() - started) * 1000


def _request_capacity(params: dict[str, Any], model: Any, **_: Any) -> None:
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "TOTAL"


def use(size: int) -> None:
    """Switch the app to the stage whose table has ``size`` items."""
    os.environ["STAGE"] = f"items{size}"
    config.settings.cache_clear()


def create() -> None:
    """Create the table of infra/resources.json, with its keys and indexes."""
    template = json.loads((Path(__file__).parents[1] / "infra" / "resources.json").read_text(encoding="utf-8"))
    found = next(one for one in template["Resources"].values() if one["Type"] == "AWS::DynamoDB::Table")["Properties"]
    kept = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    aws.dynamodb().create_table(TableName=config.settings().table, **{name: found[name] for name in kept})
    aws.dynamodb().get_waiter("table_exists").wait(TableName=config.settings().table, WaiterConfig={"Delay": 1})


def records(id_: str, fields: dict[str, Any], at: datetime, expires_at: datetime | None = None) -> list[dict[str, Any]]:
    """Return the records that the app writes when it creates an item."""
    body = fields if expires_at is None else {**fields, "expiresAt": times.format_time(expires_at)}
    writes: Any = items.prepare_create(OWNER, id_, validation.validate_item(body), at)
    return [write.parameters["Item"] for write in writes]


def write_all(new: Iterable[dict[str, Any]]) -> None:
    """Write records without conditions, in batches."""
    for batch in _batches(iter(new)):
        puts: Any = [{"PutRequest": {"Item": record}} for record in batch]
        answer = aws.dynamodb().batch_write_item(RequestItems={config.settings().table: puts})
        if answer["UnprocessedItems"]:
            raise RuntimeError("Not all records were written.")


def _batches(new: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(new, _BATCH)):
        yield batch


def medians(taken: list[dict[str, Consumed]]) -> dict[str, float]:
    """Return the median capacity units and milliseconds of each operation."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for one in taken for name in one):
        units, durations = zip(*(one[name] for one in taken if name in one), strict=True)
        found |= {f"{name}_units": statistics.median(units), f"{name}_ms": round(statistics.median(durations), 1)}
    return found


def progress(text: str) -> None:
    """Print a line for the person who waits."""
    print(json.dumps({"progress": text}), flush=True)
