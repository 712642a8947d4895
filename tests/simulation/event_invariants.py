"""Invariants of the change feed: what is on the bus follows from the writes, in the order of each item's writes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.simulation import expected_events, poison
from tests.simulation.acts import Ledger
from tests.simulation.event_bus import Published
from tests.simulation.evidence import change_of, lives_of_items
from tests.simulation.expected_events import Expected
from tests.simulation.invariants import after_two_months, invariant
from tests.simulation.timeline import HOUR
from tests.simulation.world import World

Name = tuple[str, str, int]


def expected(world: World) -> dict[Name, Expected]:
    """Return the events that follow from all writes of items."""
    cured = [[change_of(write)] for write, _ in world.poisoned if poison.is_curable(write)]
    lives = [*lives_of_items(world).values(), *cured]
    return {one.name: one for life in lives for one in expected_events.of_life(life)}


def name_of(event: Published) -> Name:
    data = event.detail["data"]
    return data["itemId"], event.type, data["version"]


def published(world: World) -> dict[Name, list[Published]]:
    """Return what is on the bus by name."""
    found = defaultdict(list)
    for one in world.bus.log:
        found[name_of(one)].append(one)
    return found


@after_two_months
def each_change_is_on_the_bus(world: World, _: Ledger) -> Iterator[str]:
    there = published(world)
    for name, event in expected(world).items():
        if name not in there:
            yield f"{event} is not on the bus"


@after_two_months
def only_changes_are_on_the_bus(world: World, _: Ledger) -> Iterator[str]:
    events = expected(world)
    for one in world.bus.log:
        if name_of(one) not in events:
            yield f"{one} is on the bus, but did not happen"
        elif problems := [*_differences(events[name_of(one)], one)]:
            yield f"{one.detail} has another {', '.join(problems)} than {events[name_of(one)]}"


def _differences(event: Expected, found: Published) -> Iterator[str]:
    """Yield the names of what is wrong in an event on the bus."""
    detail, data = found.detail, found.detail["data"]
    alike = {
        "source": found.source == "vitrine",
        "type": detail["type"] == found.type,
        "schema": detail["schema"] == 1,
        "owner": data["owner"] == event.owner,
        "changed": _names(data.get("changed")) == event.changed,
        "reason": data.get("reason") in (event.reasons or {None}),
        "timestamp": abs(datetime.fromisoformat(detail["timestamp"]).timestamp() - event.at) <= 1,
        "item": "itemOmitted" in data or _is_shown(event.record, data["item"]),
    }
    yield from (name for name, holds in alike.items() if not holds)


def _names(changed: list[str] | None) -> frozenset[str] | None:
    return None if changed is None else frozenset(changed)


def _is_shown(record: dict[str, Any], item: dict[str, Any]) -> bool:
    """Return whether an event shows the item as the API does: no other name of the record, and no URL."""
    own = {name: value for name, value in item.items() if name not in _MANAGED}
    managed = {name: item.get(name) for name in ("version", "createdAt", "updatedAt", "expiresAt", "visibility")}
    status = item.get("image", {}).get("status")
    return (
        own == record["fields"]
        and managed == {name: record.get(name) for name in managed}
        and status == record.get("image", {}).get("status")
        and "url" not in str(item.get("image"))
    )


_MANAGED = ("id", "version", "createdAt", "updatedAt", "expiresAt", "visibility", "image")


@after_two_months
def events_of_an_item_first_appear_in_order(world: World, _: Ledger) -> Iterator[str]:
    events, seen = expected(world), defaultdict(list)
    for name in published(world):  # in the order of their first appearances
        if name in events:
            seen[name[0]].append(events[name])
    for of_item in seen.values():
        for one, following in itertools.pairwise(of_item):
            if following.position < one.position:
                yield f"{following} appeared after {one}"


@after_two_months
def ids_of_events_identify_them(world: World, _: Ledger) -> Iterator[str]:
    named: dict[str, Name] = {}
    for name, found in published(world).items():
        ids = {one.detail["id"] for one in found}
        if len(ids) > 1:
            yield f"{name} has the ids {sorted(ids)}"
        for id_ in ids:
            if named.setdefault(id_, name) != name:
                yield f"{name} and {named[id_]} have the id {id_}"


@after_two_months
def without_faults_each_event_is_on_the_bus_once(world: World, _: Ledger) -> Iterator[str]:
    for name, found in published(world).items() if world.was_calm and not world.was_strange else ():
        if len(found) > 1:
            yield f"{name} is on the bus {len(found)} times"


@invariant
def the_feed_is_read(world: World, _: Ledger) -> Iterator[str]:
    late = world.timeline.now - HOUR
    yield from (f"{record.number} waits" for record in world.feed.waiting() if record.at < late)


@after_two_months
def no_valid_record_is_given_up(world: World, _: Ledger) -> Iterator[str]:
    for batch in world.feed.discarded:
        yield f"{[record.number for record in batch]} was given up"


@after_two_months
def poisoned_records_are_dead_letters(world: World, _: Ledger) -> Iterator[str]:
    dead = " ".join(world.dead_events())
    for write, record in world.poisoned:
        if record.event["eventID"] not in dead and not poison.is_curable(write):
            yield f"{record} is not in the queue of failed events"


@after_two_months
def counters_grow_after_changes(world: World, _: Ledger) -> Iterator[str]:
    events, last = expected(world), dict[str, float]()
    for name, found in published(world).items():
        if name in events:
            last[events[name].owner] = max(found[0].at, last.get(events[name].owner, 0))
    for owner, at in last.items():
        counted = [write.at for write in world.dynamodb.log if (write.pk, write.sk) == (f"OWNER#{owner}", "CHANGES#")]
        if max(counted, default=0) < at and not _counting_failed(world):
            yield f"{owner}'s counter last grew at {max(counted, default=0)}, and the last event came at {at}"


def _counting_failed(world: World) -> bool:
    """Return whether some counter was not increased because of a fault, which is only logged."""
    return any(event[2] == "log" and "Counting changes failed" in event[4] for event in world.timeline.trace)
