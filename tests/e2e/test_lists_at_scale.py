"""The read capacity of one page, of one search and of one item, which must not depend on the number of items.

The emulator reports the same capacity for every read. So the tests calculate it from the examined records, as AWS does
(DynamoDB Developer Guide, "DynamoDB read and write operations"): the total size of the records that a Query examines,
rounded up to units of 4 KB; half of that for an eventually consistent read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from chalice.test import HTTPResponse

from chalicelib import aws, config
from chalicelib.aws import dynamodb_json, table
from chalicelib.catalogue import items, validation
from chalicelib.catalogue.search import Query
from chalicelib.http import cursors
from chalicelib.values import dynamodb_limits, ids, times
from tests.e2e.in_process import app_on_a_table_of_its_own
from tests.e2e.system import System
from tests.integration.stage import Stage, json_of

Ask = Callable[..., HTTPResponse]

FEW, SOME, MANY = 100, 300, 10_000
START = datetime(2026, 3, 1, tzinfo=UTC)
FIELDS = {"title": "Vase", "text": "x" * 500}


class Read(NamedTuple):
    """One call to DynamoDB: the numbers of records examined and returned, and the capacity units consumed."""

    operation: str
    looked_at: int
    given: int
    units: float


class Meter:
    """Record the calls of the app's DynamoDB client."""

    def __init__(self) -> None:
        self.reads: list[Read] = []

    def remember(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        reads = [params, *params.get("RequestItems", {}).values()]
        context["consistent"] = any(one.get("ConsistentRead") for one in reads)

    def read(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        if "Responses" in parsed:
            [records] = parsed["Responses"].values()
            steps = sum(math.ceil(size(record) / 4096) for record in records)  # each record is read on its own
        else:
            records = parsed.get("Items", [parsed["Item"]] if "Item" in parsed else [])
            steps = max(1, math.ceil(sum(map(size, records)) / 4096))
        looked_at = parsed.get("ScannedCount", len(records))
        self.reads.append(Read(model.name, looked_at, len(records), steps * (1 if context["consistent"] else 0.5)))

    def of(self, act: Callable[[], object]) -> list[Read]:
        """Return the DynamoDB calls that ``act`` makes."""
        self.reads.clear()
        act()
        return list(self.reads)


def size(record: table.Record) -> int:
    return dynamodb_limits.stored_size(dynamodb_json.deserialize_all(record))


class Shelves(NamedTuple):
    """An owner with few items, an owner with many, and the meter that records reads."""

    api: Stage
    meter: Meter
    middle: dict[str, str]
    """The id of the middle item by owner."""

    def asking(self, owner: str) -> Ask:
        return self.api.signed_in(owner)


@pytest.fixture(scope="module")
def shelves(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelves]:
    folder = tmp_path_factory.mktemp("scale")
    with app_on_a_table_of_its_own(system.emulator, folder, auth_mode="oidc") as api:
        counts = {"few": FEW, "some": SOME, "many": MANY, "other": FEW, "man": FEW, "many#": FEW}
        middle = {owner: fill(owner, count) for owner, count in counts.items()}
        meter, events = Meter(), aws.dynamodb().meta.events
        events.register("before-parameter-build.dynamodb", meter.remember)
        events.register("after-call.dynamodb", meter.read)
        yield Shelves(api, meter, middle)


def fill(owner: str, count: int) -> str:
    """Write items of an owner, one minute apart, as the app's code builds their records. Return the middle one's id."""
    times_of = [START + timedelta(minutes=number) for number in range(count)]
    new = {ids.new_id(times.unix_ms(at)): at for at in times_of}
    draft = validation.validate_item(FIELDS)
    records = [put.parameters["Item"] for id_, at in new.items() for put in items.prepare_create(owner, id_, draft, at)]
    for first in range(0, len(records), 25):
        puts = [{"PutRequest": {"Item": one}} for one in records[first : first + 25]]
        answer = aws.dynamodb().batch_write_item(RequestItems={config.settings().table: puts})
        assert answer["UnprocessedItems"] == {}
    return list(new)[count // 2]


def after(owner: str, id_: str) -> str:
    """Return the path of the page that follows an item in an owner's list."""
    # Built as nextCursor has it: to follow the pages takes minutes, as the emulator examines all items of an owner.
    return f"/items?cursor={cursors.encode(id_, owner, *Query())}"


def around(id_: str, order: str) -> str:
    """Return the path of the first page of items within half an hour of an item."""
    middle = datetime.fromtimestamp(ids.id_time_ms(id_) / 1000, UTC)
    start, end = (quote(times.format_time(middle + timedelta(minutes=by))) for by in (-30, 30))
    return f"/items?createdAfter={start}&createdBefore={end}&order={order}"


PAGES: dict[str, Callable[[str, str], str]] = {
    "the first page": lambda owner, middle: "/items",
    "the first page, oldest first": lambda owner, middle: "/items?order=asc",
    "a page in the middle": after,
    "a page of an hour in the middle": lambda owner, middle: around(middle, "desc"),
    "a page of that hour, oldest first": lambda owner, middle: around(middle, "asc"),
}


@pytest.mark.parametrize("which", PAGES)
def test_page_costs_the_same_for_100_and_10_000_items(shelves: Shelves, which: str) -> None:
    costs = []
    for owner in ("few", "many"):
        path = PAGES[which](owner, shelves.middle[owner])
        costs.append(shelves.meter.of(lambda owner=owner, path=path: twenty_five(shelves.asking(owner)("GET", path))))

    assert costs[0] == costs[1]
    # 25 records of just over 700 bytes are five units of 4 KB, at half the price: the read is eventually consistent.
    assert costs[0] == [Read("Query", looked_at=25, given=25, units=2.5)]


def updated_at(id_: str) -> str:
    """Return when an item was updated last, which is when it was created."""
    return quote(times.format_time(datetime.fromtimestamp(ids.id_time_ms(id_) / 1000, UTC)))


SEARCHES: dict[str, Callable[[str], str]] = {
    "of the item updated at a time": lambda middle: f"/items?filter[updatedAt]={updated_at(middle)}",
    "by time of update": lambda _: "/items?sort=updatedAt",
    "by time of update, latest first": lambda _: "/items?sort=-updatedAt",
    "of those updated until a time, latest first": lambda middle: (
        f"/items?filter[updatedAt][lte]={updated_at(middle)}&sort=-updatedAt"
    ),
}
"""By the field that every class ItemFields has."""


@pytest.mark.parametrize("which", SEARCHES)
def test_search_costs_the_same_for_few_and_many_items(shelves: Shelves, which: str) -> None:
    costs = []
    for owner in ("some", "many"):
        path = SEARCHES[which](shelves.middle[owner])
        costs.append(shelves.meter.of(lambda owner=owner, path=path: found(shelves.asking(owner)("GET", path))))

    assert costs[0] == costs[1]
    *queries, read = costs[0]
    assert [query.operation for query in queries] == ["Query"]
    assert queries[0].looked_at <= 100
    # One unit for each item, because BatchGetItem rounds up for each.
    items_read = 1 if which == "of the item updated at a time" else 25
    assert read == Read("BatchGetItem", looked_at=items_read, given=items_read, units=items_read)


def test_item_costs_the_same_for_100_and_10_000_items(shelves: Shelves) -> None:
    costs = []
    for owner in ("few", "many"):
        path = f"/items/{shelves.middle[owner]}"
        costs.append(shelves.meter.of(lambda owner=owner, path=path: shelves.asking(owner)("GET", path)))

    assert costs[0] == costs[1]
    # A strongly consistent read.
    assert costs[0] == [Read("GetItem", looked_at=1, given=1, units=1)]


def test_missing_item_costs_one_read(shelves: Shelves) -> None:
    cost = shelves.meter.of(lambda: shelves.asking("many")("GET", f"/items/{ids.new_id()}"))

    assert cost == [Read("GetItem", looked_at=0, given=0, units=1)]


def test_meter_counts_records_that_a_filter_discards(shelves: Shelves) -> None:
    def look(**also: Any) -> Read:
        values = {":owner": {"S": "OWNER#many"}, ":items": {"S": "ITEM#"}} | also.pop("values", {})
        (read,) = shelves.meter.of(
            lambda: aws.dynamodb().query(
                TableName=config.settings().table,
                KeyConditionExpression="pk = :owner AND begins_with(sk, :items)",
                ExpressionAttributeValues=values,
                **also,
            )
        )
        return read

    one, hundred, filtered = (
        look(Limit=1),
        look(Limit=100, ConsistentRead=True),
        look(Limit=100, FilterExpression="createdAt = :never", values={":never": {"S": "never"}}),
    )

    assert (one.looked_at, one.units) == (1, 0.5)
    assert hundred.looked_at == 100
    assert hundred.units > 100 * 500 / 4096
    assert (filtered.looked_at, filtered.given) == (100, 0)


def found(answer: HTTPResponse) -> None:
    assert json_of(answer)["count"] in (1, 25)


def twenty_five(answer: HTTPResponse) -> None:
    assert json_of(answer)["count"] == 25
