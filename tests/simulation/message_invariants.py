"""Invariants of the queue, of imports, and of the errors that functions raise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tests.simulation.acts import Act, Ledger
from tests.simulation.clients import GARBAGE
from tests.simulation.evidence import by_token
from tests.simulation.functions import Answer
from tests.simulation.invariants import after_two_months, invariant
from tests.simulation.world import World


@after_two_months
def each_message_creates_its_item(world: World, ledger: Ledger) -> Iterator[str]:
    made = by_token(world)
    for act in ledger.of("message"):
        if act.tokens[0] not in made:
            yield f"{act} created no item"


@invariant
def imports_are_exact(world: World, ledger: Ledger) -> Iterator[str]:
    made = by_token(world)
    for act in ledger.of("import"):
        happened = [token for token in act.tokens if token in made]
        if act.done:
            answer = world.ask(act.owner, "GET", f"/imports/{act.body['id']}")
            yield from _inexact(act, answer)
        if act.done and len(happened) < len(act.tokens):
            yield f"{act} was accepted, but created only {happened}"
        if happened and len(happened) < len(act.tokens):
            yield f"{act} was applied in part: {happened}"


@invariant
def failed_imports_create_nothing(world: World, ledger: Ledger) -> Iterator[str]:
    """Without a key, a repeated request is another import: after an error the client may send it again."""
    made = by_token(world)
    for act in ledger.of("import"):
        failed = act.status is not None and act.status >= 500 and act.status != 502
        happened = failed and act.key is None and any(token in made for token in act.tokens)
        if happened and not _read_back_failed(world, act):
            yield f"{act} failed, but was applied"


def _read_back_failed(world: World, act: Act) -> bool:
    """Return whether all calls that read an import back failed (decision 30, What it costs)."""
    calls = [event for event in world.timeline.trace if event[1] == act.runs[-1] and event[2].startswith("dynamodb.")]
    return calls[-1][2] == "dynamodb.get_item" and calls[-1][5] != "ok"


def _inexact(act: Act, answer: Answer) -> Iterator[str]:
    bad, total = act.details["bad"], act.details["total"]
    expected = {"status": "done", "total": total, "created": total - bad, "failed": bad}
    actual = answer.body and {name: answer.body.get(name) for name in expected}
    if answer.status != 200 or actual != expected:
        yield f"{act} returned {answer.status} {answer.body} instead of {expected}"


def check_imports(world: World, ledger: Ledger) -> None:
    """At the end of their retention, imports disappear at once, and are reported as done until then."""
    for act in ledger.of("import"):
        if act.done:
            answer = world.ask(act.owner, "GET", f"/imports/{act.body['id']}")
            if answer.status != 404:
                world.aged.extend(_inexact(act, answer))


@after_two_months
def imports_stay_done_until_they_disappear(world: World, _: Ledger) -> Iterator[str]:
    yield from world.aged


@invariant
def no_message_is_left(world: World, _: Ledger) -> Iterator[str]:
    yield from (f"{message.body} is on the queue" for message in world.jobs.messages.values())


@invariant
def only_invalid_messages_are_dead_letters(world: World, _: Ledger) -> Iterator[str]:
    for message in world.jobs.dead.values():
        if not _must_fail(world, message.body):
            yield f"{message.body} is a dead letter"
    yield from (f"{event} of {function} is a failed event" for function, event in world.events.failed)


@invariant
def without_faults_only_invalid_messages_become_dead_letters(world: World, _: Ledger) -> Iterator[str]:
    for body in world.dead_when_healed if world.was_calm else ():
        if not _must_fail(world, body):
            yield f"{body} became a dead letter, but is valid"


def _must_fail(world: World, body: str) -> bool:
    if body in GARBAGE:
        return True
    message = json.loads(body)
    return message["type"] == "image.render" and any(
        put.key == message["key"] and put.data.startswith((b"kills", b"hangs")) for put in world.s3.log
    )


@after_two_months
def no_unexpected_error_is_raised_or_returned(world: World, ledger: Ledger) -> Iterator[str]:
    yield from (f"{act} returned 500" for act in ledger.acts if act.status == 500)
    for event in world.timeline.trace:
        if event[2] == "log" and _BUG.match(event[5]):
            yield f"{event[1]} logged {event[4]} {event[5]}"
        if event[2] == "batch failed" and _BUG.match(event[3]):
            yield f"on_messages failed: {event[3]}"


_BUG = re.compile(r"(Attribute|Key|Type|Value|Index|Assertion|NotImplemented|Name|Recursion|Lookup|Zero\w+)Error\b")
