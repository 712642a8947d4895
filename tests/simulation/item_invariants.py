"""Invariants of items: each acknowledged write is one version, and a refused write is none."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from tests.builders import fields
from tests.simulation import index_watch
from tests.simulation.acts import Act, Ledger
from tests.simulation.evidence import (
    Change,
    by_token,
    changes,
    lives_of_items,
    public_states_between,
    records,
    shown_item,
    states_between,
    versions_between,
)
from tests.simulation.invariants import after_two_months, invariant
from tests.simulation.timeline import HOUR, START
from tests.simulation.world import World


@after_two_months
def versions_increase_by_one_and_deleted_items_stay_deleted(world: World, _: Ledger) -> Iterator[str]:
    born = set()
    for change in changes(world):
        if change.new is None:
            continue
        if change.old is None:
            if change.id in born:
                yield f"{change.id} was deleted and exists again"
            born.add(change.id)
        before = int(change.old["version"]) if change.old else 0
        if int(change.new["version"]) != before + 1:
            yield f"{change.id} went from version {before} to {change.new['version']}"


@after_two_months
def each_change_is_one_write_to_the_previous_version(world: World, ledger: Ledger) -> Iterator[str]:
    for change in changes(world):
        if change.new is None:
            continue
        if not change.tokens:
            if change.old is None or change.new["fields"] != change.old["fields"]:
                yield f"{change.id} became {change.new['fields']}, which no action wrote"
            elif _unmanaged(change.new) == _unmanaged(change.old):
                yield f"{change.id} got version {change.new['version']}, but nothing changed"
            continue
        act = ledger.by_token[min(change.tokens)]
        if (
            len(change.tokens) > 1
            or change.new["fields"] != _expected(act, change, ledger)
            or change.new.get("visibility") != _expected_visibility(act, change, ledger)
            or change.owner != act.owner
        ):
            yield f"{change.id} became {change.new['fields']} from {change.old and change.old['fields']} by {act}"


def _expected(act: Act, change: Change, ledger: Ledger) -> dict[str, Any]:
    (token,) = change.tokens
    values = ledger.values[token]
    if act.kind == "patch":
        patched = {**(change.old or {})["fields"], **values, token: 1}
        return {name: value for name, value in patched.items() if value is not None or name not in values}
    return fields(by=token, **values)


def _expected_visibility(act: Act, change: Change, ledger: Ledger) -> str | None:
    (token,) = change.tokens
    before = (change.old or {}).get("visibility") if act.kind == "patch" else None
    visibility = ledger.visibility[token].get("visibility", before)
    return None if visibility == "private" else visibility


def _unmanaged(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _MANAGED}


_MANAGED = ("version", "updatedAt", "indexed", "published", "hidden")


@after_two_months
def no_write_is_applied_twice(world: World, ledger: Ledger) -> Iterator[str]:
    sent_back = {message.body for message in world.sent_back}
    for token, made in by_token(world).items():
        act = ledger.by_token[token]
        if act.kind == "message" and act.key is None and act.details["body"] in sent_back:
            continue  # Without a key, a dead letter that is sent back is a new message (docs/architecture.md).
        if len(made) > 1:
            yield f"{act} was applied {len(made)} times: {[(change.id, change.at - START) for change in made]}"


@after_two_months
def acknowledged_writes_are_applied(world: World, ledger: Ledger) -> Iterator[str]:
    made = by_token(world)
    for act in ledger.of("create", "replace", "patch"):
        if not act.done:
            continue
        (found, *_) = made.get(act.tokens[0], [None])
        if found is None or found.new is None:
            yield f"{act} was acknowledged but not applied"
        elif (found.id, int(found.new["version"])) != (act.body["id"], act.body["version"]):
            yield f"{act} returned {act.body}, but was stored as {found.new['version']} of {found.id}"
        elif act.if_match is not None and (found.old is None or int(found.old["version"]) != act.if_match):
            yield f"{act} required version {act.if_match}, but changed {found.old}"


@after_two_months
def refused_writes_are_not_applied(world: World, ledger: Ledger) -> Iterator[str]:
    made = by_token(world)
    for act in ledger.of("create", "replace", "patch", "import"):
        happened = [change for token in act.tokens for change in made.get(token, [])]
        if act.refused and happened and not _was_deleted_since(world, act, happened[0]):
            yield f"{act} was refused but applied"


def _was_deleted_since(world: World, act: Act, happened: Change) -> bool:
    """Return whether the item was deleted before the response, so that a 404 was right."""
    gone = [change for change in lives_of_items(world)[happened.id] if change.new is None and change.at <= act.ended]
    return act.status == 404 and bool(gone)


@after_two_months
def only_requested_items_are_deleted(world: World, ledger: Ledger) -> Iterator[str]:
    requested = {act.item for act in ledger.of("delete", "delete message") if not act.refused}
    for change in changes(world):
        if change.new is None and change.old and change.id not in requested and "expiresAt" not in change.old:
            yield f"{change.id} was deleted by no action"


@invariant
def deleted_items_do_not_exist(world: World, ledger: Ledger) -> Iterator[str]:
    for act in ledger.of("delete", "delete message"):
        if (act.done or act.kind == "delete message") and shown_item(world, act.owner, act.item):
            yield f"{act} succeeded, but the item exists"


@after_two_months
def reads_return_a_current_version(world: World, ledger: Ledger) -> Iterator[str]:
    lives = lives_of_items(world)
    for act in ledger.of("read"):
        versions = versions_between(lives[act.item], act.started, act.ended)
        if act.done and act.body["version"] not in versions:
            yield f"{act} returned a version that did not exist: {versions}"


@after_two_months
def existing_items_are_found(world: World, ledger: Ledger) -> Iterator[str]:
    lives = lives_of_items(world)
    for act in ledger.of("read", "replace", "patch", "delete", "ticket"):
        expires = any("expiresAt" in (change.new or {}) for change in lives[act.item])
        if act.status == 404 and not expires and None not in versions_between(lives[act.item], act.started, act.ended):
            yield f"{act} returned 404, but the item existed"


@after_two_months
def only_changed_items_are_a_version_mismatch(world: World, ledger: Ledger) -> Iterator[str]:
    lives = lives_of_items(world)
    for act in ledger.acts:
        if act.status == 412 and versions_between(lives[act.item], act.started, act.ended) == {act.if_match}:
            yield f"{act} was refused, but the item was unchanged"


@after_two_months
def finds_return_items_that_match(world: World, ledger: Ledger) -> Iterator[str]:
    lives = lives_of_items(world)
    for act in ledger.of("find"):
        for item in itertools.chain(*act.details["pages"]):
            states = states_between(lives[item["id"]], act.started, act.ended)
            found = [state for state in states if state and state["version"] == item["version"]]
            if not any(True in _verdicts(world, act, state) for state in found):
                yield f"{act} {act.details['query'].text} returned {item}, which does not match: {states}"


@after_two_months
def finds_return_all_items_that_match(world: World, ledger: Ledger) -> Iterator[str]:
    lives = lives_of_items(world)
    for act in ledger.of("find"):
        if not act.details["complete"]:
            continue
        query, found = act.details["query"], [item["id"] for item in itertools.chain(*act.details["pages"])]
        for id_, life in lives.items():
            states = states_between(life, act.started, act.ended)
            if life[0].owner != act.owner or len(states) > 1 or states[0] is None or "expiresAt" in states[0]:
                continue
            verdicts = _verdicts(world, act, states[0])
            if len(verdicts) == 1 and found.count(id_) != int(True in verdicts):
                yield f"{act} {query.text} returned {id_} {found.count(id_)} times: {states[0]}"


def _verdicts(world: World, act: Act, state: dict[str, Any]) -> set[bool]:
    """Return whether the query of a find matches an item, by its words then and by those of the last declaration.

    Between a deployment and the reindex, either may hold.
    """
    declarations = {state["indexed"], world.declaration}
    return {act.details["query"].matches({**state, "indexed": one}) for one in declarations}


@after_two_months
def visitors_see_what_is_public(world: World, ledger: Ledger) -> Iterator[str]:
    for act in ledger.of("visit", "visit list"):
        if not act.done and act.status != 404:
            continue
        seen = act.body if act.done else None
        if act.kind == "visit list":
            seen = next((item for item in act.body["items"] if item["id"] == act.item), None)
            if seen is None and act.body["nextCursor"]:
                continue  # It may be on another page.
        states = public_states_between(world, act)
        if not any(_is_seen_as(state, seen) for state in states):
            yield f"{act} saw {seen}, but the public copies were {states}"


def _is_seen_as(state: dict[str, Any] | None, seen: dict[str, Any] | None) -> bool:
    """Return whether a visitor sees this public copy so. A field that is no longer public is left out."""
    if state is None or seen is None:
        return seen is None and (state is None or "expiresAt" in state)
    seen_fields = {name: value for name, value in seen.items() if name not in ("id", "createdAt", "updatedAt", "image")}
    loaded = [urlsplit(one["url"]).path.split("/", 2)[2] for one in seen.get("image", {}).get("thumbnails", [])]
    return (
        seen_fields.items() <= state["fields"].items()
        and seen["updatedAt"] == state["updatedAt"]
        and loaded == [one["key"] for one in state.get("image", {}).get("thumbnails", [])]
    )


@after_two_months
def finds_are_sorted(_: World, ledger: Ledger) -> Iterator[str]:
    for act in ledger.of("find"):
        for page in act.details["pages"]:
            items = [{**item, "fields": item} for item in page]
            if not act.details["query"].is_sorted(items):
                yield f"{act} {act.details['query'].text} returned {page}"


@invariant
def list_contains_exactly_the_items(world: World, ledger: Ledger) -> Iterator[str]:
    for owner in ledger.items:
        there = [record["sk"]["S"][5:] for record in records(world, "ITEM") if record["pk"]["S"] == f"OWNER#{owner}"]
        listed, query = [], "limit=4"
        while query:
            page = world.ask(owner, "GET", f"/items?{query}").body
            if "items" not in page:
                yield f"{owner} cannot list the items: {page}"
                break
            listed += [item["id"] for item in page["items"]]
            query = page["nextCursor"] and f"limit=4&cursor={page['nextCursor']}"
        if listed != sorted(there, reverse=True):
            yield f"{owner}'s list contains {listed} instead of {sorted(there, reverse=True)}"


@invariant
def index_has_exactly_what_follows_from_the_items(world: World, _: Ledger) -> Iterator[str]:
    yield from world.index.problems
    yield from index_watch.differences(world.dynamodb.records())


@invariant
def index_is_that_of_the_deployed_declaration(world: World, _: Ledger) -> Iterator[str]:
    if world.reindexed != world.declaration:
        yield f"{world.reindexes} reindexes have not finished"
    for record in records(world, "ITEM"):
        if record["indexed"]["S"] != world.declaration:
            yield f"{record['sk']['S']} is indexed as {record['indexed']['S']}"
    counts = world.compare_index()
    if counts.wrong or counts.items != len(records(world, "ITEM")):
        yield f"a reindex that changes nothing finds {counts}"


@after_two_months
def index_still_follows_from_the_items(world: World, ledger: Ledger) -> Iterator[str]:
    yield from index_has_exactly_what_follows_from_the_items(world, ledger)


@invariant
def no_work_is_due(world: World, _: Ledger) -> Iterator[str]:
    last_cleanup = world.timeline.now - HOUR
    for record in world.dynamodb.records():
        if "dueAt" in record and datetime.fromisoformat(record["dueAt"]["S"]).timestamp() <= last_cleanup:
            yield f"{record['sk']['S']} has been due since {record['dueAt']['S']}"


@invariant
def no_purge_record_is_left(world: World, _: Ledger) -> Iterator[str]:
    yield from (record["sk"]["S"] for record in records(world, "PURGE"))


@after_two_months
def only_items_have_no_expiry(world: World, _: Ledger) -> Iterator[str]:
    kept = Counter(record["sk"]["S"].partition("#")[0] for record in world.dynamodb.records())
    if kept.keys() - {"ITEM", "FIND", "WORD", "CATALOGUE", "SHARE", "WEBHOOKS", "CHANGES"}:
        yield f"{dict(kept)}"
