"""Imports with the same key values at the same time, with faults: each value becomes one item."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.builders import fields
from tests.simulation import history
from tests.simulation.acts import Ledger
from tests.simulation.functions import Answer
from tests.simulation.world import World

ENTRIES = 7
"""Entries of an import: three chunks in this simulation."""


@pytest.mark.parametrize("seed", range(60))
def test_each_value_becomes_one_item(seed: int) -> None:
    world = World(seed)
    with world.in_place():
        answers = import_twice(world)
        history._stop_faults(world, Ledger())

        items = all_items(world)
        values = Counter(item["simTitle"] for item in items)
        accepted = [name for name, answer in answers.items() if answer.status == 202]
        for name in accepted:
            done = world.ask("ann", "GET", f"/imports/{answers[name].body['id']}").body
            counts = (done["status"], done["created"] + done["updated"], done["failed"])
            assert counts == ("done", ENTRIES, 0), world.timeline.trace[-20:]
            assert all(name in item for item in items)
        assert values == (Counter(f"Vase {number}" for number in range(ENTRIES)) if items else {})
        index = world.compare_index()
        assert (index.missing, index.orphaned) == (0, 0)


def all_items(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = world.ask("ann", "GET", f"/items?cursor={cursor}" if cursor else "/items").body
        items += page["items"]
        cursor = page["nextCursor"]
    return items


def import_twice(world: World) -> dict[str, Answer]:
    """Start two imports with the same values within some seconds, and return the responses."""
    answers: dict[str, Answer] = {}

    def work(name: str) -> None:
        world.timeline.pause(world.chance.random() * world.chance.choice((0.1, 5)))
        entries = [fields(simTitle=f"Vase {number}", **{name: 1}) for number in range(ENTRIES)]
        answers[name] = world.api.ask("ann", "POST", "/imports?key=simTitle", {"items": entries})

    clients = [world.timeline.start(name, lambda name=name: work(name)) for name in ("one", "two")]
    while not all(client.has_ended for client in clients):
        world.run_until(world.timeline.now + 600)
    return answers
