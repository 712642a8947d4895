"""What has to hold once all has healed, whatever happened before.

To add one: write a function of the world and the ledger that yields a sentence for each thing that is wrong, and
decorate it with ``@invariant`` (looked at when all has healed) or ``@in_the_end`` (two months later).
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from chalicelib import table
from tests.simulation.clients import GARBAGE, Act, Ledger
from tests.simulation.dynamodb import Record
from tests.simulation.functions import Answer
from tests.simulation.pictures import thumbnail
from tests.simulation.s3 import Put
from tests.simulation.timeline import START
from tests.simulation.world import World

Invariant = Callable[[World, Ledger], Iterator[str]]

_when_healed: list[Invariant] = []
_in_the_end: list[Invariant] = []


def invariant(check: Invariant) -> Invariant:
    """Looked at when all has healed."""
    _when_healed.append(check)
    return check


def in_the_end(check: Invariant) -> Invariant:
    """Looked at two months later, when all that is kept for a while is gone."""
    _in_the_end.append(check)
    return check


def broken(world: World, ledger: Ledger) -> Iterator[str]:
    """Yield what is wrong, each with the name of its invariant."""
    for check in _when_healed:
        yield from (f"{check.__name__}: {problem}" for problem in check(world, ledger))


def broken_in_the_end(world: World, ledger: Ledger) -> Iterator[str]:
    """The same, two months later."""
    for check in _in_the_end:
        yield from (f"{check.__name__}: {problem}" for problem in check(world, ledger))


# ------------------------------------------------------------------------------------------------------------- items


class Change(NamedTuple):
    """One version of an item that was written: ``old`` is None for its first, ``new`` is None if it was deleted."""

    at: float
    owner: str
    id: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None

    @property
    def tokens(self) -> set[str]:
        """Those that came with this change: of the write that made it."""
        return _tokens(self.new) - _tokens(self.old)


def changes(world: World) -> list[Change]:
    """All that happened to items, in order."""
    return _changes(world, len(world.dynamodb.log))


@functools.lru_cache(maxsize=2)
def _changes(world: World, writes: int) -> list[Change]:
    found: list[Change] = []
    for at, pk, sk, _, record in world.dynamodb.log[:writes]:
        if sk.startswith("ITEM#"):
            new = record and {name: table.value(held) for name, held in record.items()}
            old = next((change.new for change in reversed(found) if change.id == sk[5:]), None)
            found.append(Change(at, pk.removeprefix("OWNER#"), sk[5:], old, new))
    return found


def _tokens(item: dict[str, Any] | None) -> set[str]:
    if item is None:
        return set()
    fields = item["fields"]
    return {name for name in fields if re.fullmatch(r"t\d+", name)} | ({fields["by"]} if "by" in fields else set())


def _by_token(world: World) -> dict[str, list[Change]]:
    found = defaultdict(list)
    for change in changes(world):
        for token in change.tokens:
            found[token].append(change)
    return found


@in_the_end
def versions_rise_by_one_and_no_item_lives_twice(world: World, _: Ledger) -> Iterator[str]:
    born = set()
    for change in changes(world):
        if change.new is None:
            continue
        if change.old is None:
            if change.id in born:
                yield f"{change.id} was deleted and lives again"
            born.add(change.id)
        before = int(change.old["version"]) if change.old else 0
        if int(change.new["version"]) != before + 1:
            yield f"{change.id} went from version {before} to {change.new['version']}"


@in_the_end
def each_change_is_one_write_on_top_of_the_last(world: World, ledger: Ledger) -> Iterator[str]:
    for change in changes(world):
        if change.new is None:
            continue
        if not change.tokens:
            if change.old is None or change.new["fields"] != change.old["fields"]:
                yield f"{change.id} became {change.new['fields']}, which nobody wrote"
            elif _but(change.new, "version", "updatedAt") == _but(change.old, "version", "updatedAt"):
                yield f"{change.id} got version {change.new['version']}, and nothing changed"
            continue
        act = ledger.by_token[min(change.tokens)]
        if len(change.tokens) > 1 or change.new["fields"] != _expected(act, change) or change.owner != act.owner:
            yield f"{change.id} became {change.new['fields']} from {change.old and change.old['fields']} by {act}"


def _expected(act: Act, change: Change) -> dict[str, Any]:
    (token,) = change.tokens
    if act.kind == "patch":
        return {**(change.old or {})["fields"], token: 1}
    return {"by": token}


def _but(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


@in_the_end
def no_write_happens_twice(world: World, ledger: Ledger) -> Iterator[str]:
    sent_back = {message.body for message in world.sent_back}
    for token, made in _by_token(world).items():
        act = ledger.by_token[token]
        if act.kind == "message" and act.key is None and act.details["body"] in sent_back:
            continue  # Without a key, a dead letter that is sent back is a new message (docs/architecture.md).
        if len(made) > 1:
            yield f"{act} happened {len(made)} times: {[(change.id, change.at - START) for change in made]}"


@in_the_end
def acknowledged_writes_happened(world: World, ledger: Ledger) -> Iterator[str]:
    made = _by_token(world)
    for act in ledger.of("create", "replace", "patch"):
        if not act.done:
            continue
        (found, *_) = made.get(act.tokens[0], [None])
        if found is None or found.new is None:
            yield f"{act} was acknowledged and never happened"
        elif (found.id, int(found.new["version"])) != (act.body["id"], act.body["version"]):
            yield f"{act} was answered as {act.body}, and is {found.new['version']} of {found.id}"
        elif act.if_match is not None and (found.old is None or int(found.old["version"]) != act.if_match):
            yield f"{act} was to build on version {act.if_match}, and built on {found.old}"


@in_the_end
def refused_writes_did_not_happen(world: World, ledger: Ledger) -> Iterator[str]:
    made = _by_token(world)
    for act in ledger.of("create", "replace", "patch", "import"):
        happened = [change for token in act.tokens for change in made.get(token, [])]
        if act.refused and happened and not _was_deleted_since(world, act, happened[0]):
            yield f"{act} was refused, and happened"


def _was_deleted_since(world: World, act: Act, happened: Change) -> bool:
    """Whether the item was deleted before the answer, so that "it is not there" was true."""
    gone = [change for change in _lives(world)[happened.id] if change.new is None and change.at <= act.ended]
    return act.status == 404 and bool(gone)


@in_the_end
def only_what_was_asked_for_is_deleted(world: World, ledger: Ledger) -> Iterator[str]:
    asked = {act.item for act in ledger.of("delete", "delete message") if not act.refused or act.status == 412}
    for change in changes(world):
        if change.new is None and change.old and change.id not in asked and "expiresAt" not in change.old:
            yield f"{change.id} was deleted by nobody"


@invariant
def what_was_deleted_is_gone(world: World, ledger: Ledger) -> Iterator[str]:
    for act in ledger.of("delete", "delete message"):
        if (act.done or act.kind == "delete message") and _item(world, act.owner, act.item):
            yield f"{act} was taken, and the item is there"


@in_the_end
def reads_show_what_was_there(world: World, ledger: Ledger) -> Iterator[str]:
    lives = _lives(world)
    for act in ledger.of("read"):
        versions = _versions_between(lives[act.item], act.started, act.ended)
        if act.done and act.body["version"] not in versions:
            yield f"{act} shows a version that was not there: {versions}"


@in_the_end
def what_is_there_is_found(world: World, ledger: Ledger) -> Iterator[str]:
    lives = _lives(world)
    for act in ledger.of("read", "replace", "patch", "delete", "ticket"):
        expires = any("expiresAt" in (change.new or {}) for change in lives[act.item])
        if act.status == 404 and not expires and None not in _versions_between(lives[act.item], act.started, act.ended):
            yield f"{act} found nothing, and the item was there"


@in_the_end
def only_a_changed_item_is_a_mismatch(world: World, ledger: Ledger) -> Iterator[str]:
    lives = _lives(world)
    for act in ledger.acts:
        if act.status == 412 and _versions_between(lives[act.item], act.started, act.ended) == {act.if_match}:
            yield f"{act} was refused, and nobody had changed the item"


def _lives(world: World) -> dict[str, list[Change]]:
    lives = defaultdict(list)
    for change in changes(world):
        lives[change.id].append(change)
    return lives


def _versions_between(life: list[Change], start: float, end: float) -> set[int | None]:
    version: int | None = None
    seen: set[int | None] = set()
    for change in life:
        if change.at > start:
            seen.add(version)
        version = int(change.new["version"]) if change.new else None
        if change.at > end:
            return seen
    return seen | {version}


def _item(world: World, owner: str, id_: str) -> dict[str, Any] | None:
    answer = world.ask(owner, "GET", f"/items/{id_}")
    found: dict[str, Any] | None = answer.body if answer.status == 200 else None
    return found


@invariant
def the_list_holds_exactly_the_items(world: World, ledger: Ledger) -> Iterator[str]:
    for owner in ledger.items:
        there = [record["sk"]["S"][5:] for record in _records(world, "ITEM") if record["pk"]["S"] == f"OWNER#{owner}"]
        listed, query = [], "limit=4"
        while query:
            page = world.ask(owner, "GET", f"/items?{query}").body
            listed += [item["id"] for item in page["items"]]
            query = page["nextCursor"] and f"limit=4&cursor={page['nextCursor']}"
        if listed != sorted(there, reverse=True):
            yield f"{owner}'s list shows {listed} of {sorted(there, reverse=True)}"


# ------------------------------------------------------------------------------------------- messages, and imports too


@in_the_end
def each_message_makes_its_item(world: World, ledger: Ledger) -> Iterator[str]:
    made = _by_token(world)
    for act in ledger.of("message"):
        if act.tokens[0] not in made:
            yield f"{act} made no item"


@invariant
def imports_are_exact(world: World, ledger: Ledger) -> Iterator[str]:
    made = _by_token(world)
    for act in ledger.of("import"):
        happened = [token for token in act.tokens if token in made]
        if act.done:
            answer = world.ask(act.owner, "GET", f"/imports/{act.body['id']}")
            yield from _inexact(act, answer)
        if act.done and len(happened) < len(act.tokens):
            yield f"{act} was accepted, and made {happened} only"
        if happened and len(happened) < len(act.tokens):
            yield f"{act} happened in part: {happened}"


@invariant
def imports_that_failed_did_not_happen(world: World, ledger: Ledger) -> Iterator[str]:
    """Without a key nothing tells a second import from the first: who was told of a failure sends it again."""
    made = _by_token(world)
    for act in ledger.of("import"):
        told = act.status is not None and act.status >= 500 and act.status != 502
        if told and act.key is None and any(token in made for token in act.tokens):
            yield f"{act} failed, and happened"


def _inexact(act: Act, answer: Answer) -> Iterator[str]:
    bad, total = act.details["bad"], act.details["total"]
    expected = {"status": "done", "total": total, "created": total - bad, "failed": bad}
    shown = answer.body and {name: answer.body.get(name) for name in expected}
    if answer.status != 200 or shown != expected:
        yield f"{act} shows {answer.status} {answer.body}, and should show {expected}"


def look_at_imports(world: World, ledger: Ledger) -> None:
    """As their time runs out they are gone at some moment, and never seem to be anything but done before."""
    for act in ledger.of("import"):
        if act.done:
            answer = world.ask(act.owner, "GET", f"/imports/{act.body['id']}")
            if answer.status != 404:
                world.aged.extend(_inexact(act, answer))


@in_the_end
def imports_stay_done_until_they_are_gone(world: World, _: Ledger) -> Iterator[str]:
    yield from world.aged


@invariant
def no_message_is_left(world: World, _: Ledger) -> Iterator[str]:
    yield from (f"{message.body} is on the queue" for message in world.sqs.messages.values())


@invariant
def only_what_must_fail_is_a_dead_letter(world: World, _: Ledger) -> Iterator[str]:
    for message in world.sqs.dead.values():
        if not _must_fail(world, message.body):
            yield f"{message.body} is a dead letter"
    yield from (f"{event['detail']} is a failed event" for event in world.events.failed)


@invariant
def without_faults_only_what_must_fail_becomes_a_dead_letter(world: World, _: Ledger) -> Iterator[str]:
    for body in world.dead_when_healed if world.was_calm else ():
        if not _must_fail(world, body):
            yield f"{body} became a dead letter, and nothing was wrong with it"


def _must_fail(world: World, body: str) -> bool:
    if body in GARBAGE:
        return True
    message = json.loads(body)
    return message["type"] == "image.render" and any(
        put.key == message["key"] and put.data.startswith((b"kills", b"hangs")) for put in world.s3.log
    )


@in_the_end
def nothing_unexpected_is_raised_or_answered(world: World, ledger: Ledger) -> Iterator[str]:
    yield from (f"{act} was answered with a 500" for act in ledger.acts if act.status == 500)
    for event in world.timeline.trace:
        if event[2] == "log" and _BUG.match(event[5]):
            yield f"{event[1]} logged {event[4]} {event[5]}"
        if event[2] == "batch failed" and _BUG.match(event[3]):
            yield f"on_messages failed: {event[3]}"


_BUG = re.compile(r"(Attribute|Key|Type|Value|Index|Assertion|NotImplemented|Name|Recursion|Lookup|Zero\w+)Error\b")


# ---------------------------------------------------------------------------------------------------------- pictures


@invariant
def pictures_are_those_of_the_newest_upload(world: World, ledger: Ledger) -> Iterator[str]:
    tickets = {act.body["upload"]["fields"]["key"]: act for act in ledger.of("ticket") if act.done}
    void = _voided(world)
    for record in _records(world, "ITEM"):
        owner, id_ = record["pk"]["S"][6:], record["sk"]["S"][5:]
        prefix = f"uploads/items/{owner}/{id_}/"
        valid = [
            put for put in world.s3.log if put.key.startswith(prefix) and put.key[len(prefix) :] > void.get(id_, "")
        ]
        newest = [put for put in valid if not any(_follows(other, put, tickets) for other in valid)]
        shown = (_item(world, owner, id_) or {}).get("image")
        problems = [_problems(world, f"items/{owner}/{id_}/", shown, put) for put in newest or [None]]
        if all(problems):
            yield f"{id_} shows {_brief(shown)}: {'; or '.join(', '.join(each) for each in problems)}"


def _problems(world: World, folder: str, shown: dict[str, Any] | None, put: Put | None) -> list[str]:
    """Why what an item shows, and what is in its folder, is not what comes of an upload, or of none."""
    nothing = "there is no upload" if shown else None
    wrong = nothing if put is None else _wrong(put, shown, world)
    return [*([wrong] if wrong else []), *_strange_objects(world, folder, put, shown)]


def _follows(later: Put, put: Put, tickets: dict[str, Act]) -> bool:
    """Whether an upload surely counts instead of another: its ticket was asked for when that one's was there."""
    if later.key == put.key:
        return later.sequencer > put.sequencer
    return tickets[later.key].started >= tickets[put.key].ended


def _voided(world: World) -> dict[str, str]:
    """Up to which upload each item's were made void, as a picture was removed."""
    found: dict[str, str] = {}
    for change in changes(world):
        # With an upload's object gone, too, a picture ends; only a removal says up to which upload that is for good.
        if (
            change.old
            and change.new
            and "image" in change.old
            and "image" not in change.new
            and "lastUpload" in change.new
        ):
            found[change.id] = max(change.old["image"].get("uploadId", ""), change.old.get("lastUpload", ""))
    return found


def _wrong(put: Put, shown: dict[str, Any] | None, world: World) -> str | None:
    """Why what an item shows is not what came of an upload."""
    told = f"the newest upload is {put.data[:20]!r} at {put.key}"
    if shown is None or shown["status"] != ("ready" if put.data.startswith(b"good") else "failed"):
        return told
    if shown["status"] == "failed":
        return None
    if f"{put.key}?" not in shown["url"] or shown["bytes"] != len(put.data):
        return told
    for one in shown["thumbnails"]:
        found = world.s3.objects.get(_key(one["url"]))
        if found is None or found.data != thumbnail(put.data, one["size"]):
            return f"{told}, and thumbnail {one['size']} is {found and found.data!r}"
    return None


def _brief(shown: dict[str, Any] | None) -> str:
    if shown is None:
        return "no picture"
    return f"{shown['status']} {_key(shown['url']) if 'url' in shown else shown.get('error', '')}"


def _key(url: str) -> str:
    return url.partition("?")[0].split("/", 4)[4]


def _strange_objects(world: World, folder: str, newest: Put | None, shown: dict[str, Any] | None) -> Iterator[str]:
    """What lies in an item's folder although it belongs to no picture that it shows."""
    belongs = set()
    if shown and newest:
        belongs.add(newest.key)
    if shown and shown["status"] == "ready":
        belongs |= {_key(one["url"]) for one in shown["thumbnails"]}
    there = {key for key in world.s3.objects if key.partition("/")[2].startswith(folder)}
    if there - belongs:
        yield f"left over: {sorted(there - belongs)}"
    if belongs - there:
        yield f"missing: {sorted(belongs - there)}"


@invariant
def no_object_is_left_of_an_item_that_is_gone(world: World, _: Ledger) -> Iterator[str]:
    living = {record["sk"]["S"][5:] for record in _records(world, "ITEM")}
    for key in world.s3.objects:
        parts = key.split("/")
        if parts[1] == "items" and parts[3] not in living:
            yield key


@invariant
def loose_files_have_their_thumbnails(world: World, _: Ledger) -> Iterator[str]:
    for key, put in world.s3.objects.items():
        if (
            not key.startswith("uploads/loose/")
            or not put.data.startswith(b"good")
            or put.sequencer in world.events.lost
        ):
            continue
        found = world.s3.objects.get(f"thumbnails/{key.removeprefix('uploads/')}.jpg")
        if found is None or found.data != thumbnail(put.data, 200):
            yield f"{key} is {put.data[:20]!r}, its thumbnail is {found and found.data!r}"


# --------------------------------------------------------------------------------------------------------- leftovers


@invariant
def nothing_is_due(world: World, _: Ledger) -> Iterator[str]:
    for record in world.dynamodb.records():
        if "dueAt" in record and datetime.fromisoformat(record["dueAt"]["S"]).timestamp() <= world.timeline.now:
            yield f"{record['sk']['S']} has been due since {record['dueAt']['S']}"


@invariant
def no_purge_record_is_left(world: World, _: Ledger) -> Iterator[str]:
    yield from (record["sk"]["S"] for record in _records(world, "PURGE"))


@in_the_end
def only_items_are_kept_for_good(world: World, _: Ledger) -> Iterator[str]:
    kept = Counter(record["sk"]["S"].partition("#")[0] for record in world.dynamodb.records())
    if kept.keys() - {"ITEM"}:
        yield f"{dict(kept)}"


def _records(world: World, kind: str) -> list[Record]:
    return [record for record in world.dynamodb.records() if record["sk"]["S"].startswith(f"{kind}#")]
