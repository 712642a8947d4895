"""Compare the index and the public copies with the items: after each write, and by reading everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from chalicelib.aws import dynamodb_json
from tests.simulation import expected_index
from tests.simulation.dynamodb import DynamoDB, Record, Write

MOST_PROBLEMS = 5
"""After so many, no more are recorded."""

Place = tuple[str, str]
"""The partition and the id of an item."""


class IndexWatch:
    """Check the index records of an item after each write of the item or of one of its index records."""

    def __init__(self, dynamodb: DynamoDB) -> None:
        self._dynamodb = dynamodb
        self._sort_keys: dict[Place, set[str]] = defaultdict(set)
        self.problems: list[str] = []
        self.checked = 0

    def watch(self, writes: list[Write]) -> None:
        """Check the items that a call has written."""
        touched = dict.fromkeys(place for write in writes if (place := _place(write.pk, write.sk)))
        for write in writes:
            place = _place(write.pk, write.sk)
            if place is None or _is_item(write.sk):
                continue
            if write.new is None:
                self._sort_keys[place].discard(write.sk)
            else:
                self._sort_keys[place].add(write.sk)
        for place in touched:
            self.checked += 1
            if len(self.problems) < MOST_PROBLEMS:
                self.problems += _differences(place, self._item(place), self._sort_keys[place])
                self.problems += self._wrong_copies(place)

    def _wrong_copies(self, place: Place) -> Iterator[str]:
        """Yield what is wrong with the public copy of an item, or with an item that is one."""
        partition, id_ = place
        if partition.startswith("PUBLIC#"):
            owner = self._dynamodb.partition(partition)["CATALOGUE#"]["owner"]["S"]
            copy, item = self._item(place), self._item((f"OWNER#{owner}", id_))
        else:
            item = self._item(place)
            copy = self._item((f"PUBLIC#{item.get('catalogue')}", id_))
        if _seen(copy) != expected_index.public_copy(item):
            yield f"{id_} is {item} and its public copy {copy}"

    def _item(self, place: Place) -> dict[str, Any]:
        partition, id_ = place
        record = self._dynamodb.partition(partition).get(f"ITEM#{id_}")
        return dynamodb_json.deserialize_all(record) if record else {}


def _seen(copy: dict[str, Any]) -> dict[str, Any]:
    return {name: copy[name] for name in ("createdAt", "expiresAt", "fields") if name in copy}


def differences(records: list[Record]) -> Iterator[str]:
    """Yield how the index records among all ``records`` differ from those that the items among them must have."""
    items: dict[Place, dict[str, Any]] = {}
    sort_keys: dict[Place, set[str]] = defaultdict(set)
    for record in records:
        partition, sort_key = record["pk"]["S"], record["sk"]["S"]
        place = _place(partition, sort_key)
        if place is None:
            continue
        if _is_item(sort_key):
            items[place] = dynamodb_json.deserialize_all(record)
            continue
        sort_keys[place].add(sort_key)
        if record.keys() - {"pk", "sk"}:
            yield f"{sort_key!r} has attributes: {record}"
    for place in dict.fromkeys([*items, *sort_keys]):
        yield from _differences(place, items.get(place, {}), sort_keys[place])


def _differences(place: Place, item: dict[str, Any], found: set[str]) -> Iterator[str]:
    _, id_ = place
    expected = expected_index.sort_keys_of(id_, item)
    if found != expected:
        version = item.get("version", "absent")
        yield f"{id_} ({version}) lacks {sorted(expected - found)} and has {sorted(found - expected)} in the index"
    if item and expected != (by_the_app := expected_index.sort_keys_by_the_app(id_, item)):
        yield f"search_index_keys.keys() of {id_} is {sorted(by_the_app)} instead of {sorted(expected)}"


def _place(partition: str, sort_key: str) -> Place | None:
    """Return the item that a record is, or that it leads to."""
    kind, _, rest = sort_key.partition("#")
    if kind not in ("ITEM", "FIND", "WORD"):
        return None
    return partition, rest.rpartition("\t")[2]


def _is_item(sort_key: str) -> bool:
    return sort_key.startswith("ITEM#")
