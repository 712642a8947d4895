"""The changes of items in a history, in the form that the invariants need."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from typing import Any, NamedTuple

from chalicelib.aws import dynamodb_json
from tests.simulation.acts import Act
from tests.simulation.dynamodb import Record, Write
from tests.simulation.world import World


class Change(NamedTuple):
    """A written version of an item. ``old`` is None for the first, ``new`` is None if the item was deleted."""

    at: float
    owner: str
    id: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None

    @property
    def tokens(self) -> set[str]:
        """Return the tokens that this change added."""
        return _tokens(self.new) - _tokens(self.old)


def changes(world: World) -> list[Change]:
    """Return all changes of items, in order."""
    return _changes(world, len(world.dynamodb.log))


@functools.lru_cache(maxsize=2)
def _changes(world: World, writes: int) -> list[Change]:
    return [change_of(write) for write in world.dynamodb.log[:writes] if _is_of_item(write)]


def _is_of_item(write: Write) -> bool:
    return write.pk.startswith("OWNER#") and write.sk.startswith("ITEM#") and not _is_reindexed(write.old, write.new)


def change_of(write: Write) -> Change:
    """Return the change that a write of an item is."""
    old, new = (one and dynamodb_json.deserialize_all(one) for one in (write.old, write.new))
    return Change(write.at, write.pk.removeprefix("OWNER#"), write.sk[5:], old, new)


def _is_reindexed(before: Record | None, record: Record | None) -> bool:
    """Return whether a write changed nothing, or only which other records the item has."""
    if before is None or record is None:
        return False
    return {**before, **_OTHERS} == {**record, **_OTHERS}


_OTHERS: dict[str, Any] = dict.fromkeys(("indexed", "hidden", "dueAt", "dueShard"))


def _tokens(item: dict[str, Any] | None) -> set[str]:
    if item is None:
        return set()
    fields = item["fields"]
    return {name for name in fields if re.fullmatch(r"t\d+", name)} | ({fields["by"]} if "by" in fields else set())


def by_token(world: World) -> dict[str, list[Change]]:
    found = defaultdict(list)
    for change in changes(world):
        for token in change.tokens:
            found[token].append(change)
    return found


def lives_of_items(world: World) -> dict[str, list[Change]]:
    lives = defaultdict(list)
    for change in changes(world):
        lives[change.id].append(change)
    return lives


def versions_between(life: list[Change], start: float, end: float) -> set[int | None]:
    version: int | None = None
    seen: set[int | None] = set()
    for change in life:
        if change.at > start:
            seen.add(version)
        version = int(change.new["version"]) if change.new else None
        if change.at > end:
            return seen
    return seen | {version}


def states_between(life: list[Change], start: float, end: float) -> list[dict[str, Any] | None]:
    """Return the records that an item had in a period, one after the other; None while it did not exist."""
    before = [change.new for change in life if change.at < start]
    return [before[-1] if before else None, *(change.new for change in life if start <= change.at <= end)]


def shown_item(world: World, owner: str, id_: str) -> dict[str, Any] | None:
    answer = world.ask(owner, "GET", f"/items/{id_}")
    found: dict[str, Any] | None = answer.body if answer.status == 200 else None
    return found


def records(world: World, kind: str) -> list[Record]:
    """Return the records of owners of one kind."""
    kept = [record for record in world.dynamodb.records() if record["pk"]["S"].startswith("OWNER#")]
    return [record for record in kept if record["sk"]["S"].startswith(f"{kind}#")]


def public_states_between(world: World, act: Act) -> list[dict[str, Any] | None]:
    """Return the public copies that an item had during an action, one after the other; None while it had none."""
    partition, before, during = f"PUBLIC#{act.details['catalogue']}", None, []
    for at, pk, sk, _, record in world.dynamodb.log:
        if pk != partition or sk != f"ITEM#{act.item}" or at > act.ended:
            continue
        state = record and dynamodb_json.deserialize_all(record)
        if at < act.started:
            before = state
        else:
            during.append(state)
    return [before, *during]
