"""Invariants of share links: a link shows its item until the link or the item is deleted or expires."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.aws import dynamodb_json
from chalicelib.values import times
from tests.simulation import expected_index
from tests.simulation.acts import Act, Ledger, shared_path
from tests.simulation.evidence import lives_of_items, records, states_between
from tests.simulation.invariants import after_two_months, invariant
from tests.simulation.item_values import DECLARATIONS
from tests.simulation.timeline import HOUR
from tests.simulation.world import World

MOST_SKEW = HOUR
"""How far the clock of a function may be set back."""


@after_two_months
def visits_of_links_show_their_items(world: World, ledger: Ledger) -> Iterator[str]:
    for act in ledger.of("visit share"):
        yield from _problems(world, ledger, act)


@invariant
def links_show_their_items_when_all_faults_have_stopped(world: World, ledger: Ledger) -> Iterator[str]:
    for link in ledger.of("share"):
        if link.done:
            act = Act("visit share", link.owner, world.timeline.now, item=link.item, link=link)
            answer = world.ask(link.owner, "GET", shared_path(link))
            act.status, act.body, act.ended = answer.status, answer.body, world.timeline.now
            if act.status not in (200, 404):
                yield f"{act} failed"
            yield from _problems(world, ledger, act)


def _problems(world: World, ledger: Ledger, act: Act) -> Iterator[str]:
    """Yield what is wrong with a visit of a link."""
    link, states = act.details["link"], states_between(lives_of_items(world)[act.item], act.started, act.ended)
    ends = [
        *(one for one in ledger.of("unshare") if one.details["link"] is link),
        *(one for one in ledger.of("delete", "delete message") if one.item == link.item),
    ]
    certain_ends = [one for one in ends if one.done and one.kind != "delete message" and one.ended <= act.started]
    certain_ends += [link] if _has_expired(link.body, act.started) else []
    if act.done and certain_ends:
        yield f"{act} showed the item, after {certain_ends}"
    if act.done and not any(_is_shown_as(state, act) for state in states):
        yield f"{act} showed {act.body}, but the item was {states}"
    possible_ends = [one for one in ends if not one.refused and one.started <= act.ended]
    expires = any("expiresAt" in (one or {}) for one in (link.body, *states))
    if act.status == 404 and not possible_ends and not expires and None not in states:
        yield f"{act} found nothing, but the link was never deleted: {states}"


def _has_expired(holder: dict[str, Any], at: float) -> bool:
    """Return whether this had expired at ``at`` by the clock of every function."""
    return "expiresAt" in holder and times.parse_time(holder["expiresAt"]).timestamp() + MOST_SKEW <= at


def _is_shown_as(state: dict[str, Any] | None, act: Act) -> bool:
    """Return whether the visitor saw this item, and only its public fields, as some declaration names them."""
    if state is None or _has_expired(state, act.started):
        return False
    seen = {name: value for name, value in act.body.items() if name not in ("id", "createdAt", "updatedAt", "image")}
    published = {**state, "visibility": "public", "hidden": False}
    fields = [expected_index.public_copy({**published, "indexed": one})["fields"] for one in DECLARATIONS]
    return act.body["id"] == act.item and seen in fields


@invariant
def each_link_of_an_item_has_its_record(world: World, _: Ledger) -> Iterator[str]:
    for item in records(world, "ITEM"):
        owner, id_ = item["pk"]["S"][6:], item["sk"]["S"][5:]
        for share in dynamodb_json.deserialize_all(item).get("shares", ()):
            record = world.dynamodb.partition(f"SHARE#{share['hash']}").get("SHARE#")
            found = dynamodb_json.deserialize_all(record) if record else {}
            if (found.get("owner"), found.get("item")) != (owner, id_) and not _has_expired(
                share, world.timeline.now + MOST_SKEW
            ):
                yield f"{share} of {id_} has the record {record}"
