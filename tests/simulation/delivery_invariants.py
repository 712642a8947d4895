"""Invariants of webhooks: each event is delivered to those that accept it, signed, or ends as failed by the rules."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from chalicelib.aws import dynamodb_json
from chalicelib.values import exact_json
from tests.simulation.acts import Act, Ledger
from tests.simulation.event_bus import Published
from tests.simulation.functions import TIMEOUTS
from tests.simulation.invariants import after_two_months
from tests.simulation.receivers import Request
from tests.simulation.share_invariants import MOST_SKEW
from tests.simulation.timeline import HOUR
from tests.simulation.world import World

DAY = 24 * HOUR

IN_FLIGHT = 70
"""Seconds for which a delivery may still be sent after its webhook was deleted: the function has read the webhook."""


class State(NamedTuple):
    """A webhook from a moment on. ``webhook`` is None when it was deleted."""

    at: float
    webhook: dict[str, Any] | None


def histories_of_webhooks(world: World) -> dict[tuple[str, str], list[State]]:
    """Return the states of each webhook, by owner and id."""
    found: dict[tuple[str, str], list[State]] = {}
    for write in world.dynamodb.log:
        if write.sk != "WEBHOOKS#":
            continue
        owner, now = write.pk.removeprefix("OWNER#"), _webhooks(write.new)
        for id_ in {*_webhooks(write.old), *now}:
            states = found.setdefault((owner, id_), [])
            if not states or states[-1].webhook != now.get(id_):
                states.append(State(write.at, now.get(id_)))
    return found


def _webhooks(record: Any) -> dict[str, dict[str, Any]]:
    found = dynamodb_json.deserialize_all(record or {}).get("webhooks", ())
    return {one["id"]: one for one in found}


def _accepts(webhook: dict[str, Any] | None, type_: str) -> bool:
    return bool(webhook and webhook.get("enabled", True) and ({"*", type_} & {*webhook["events"]}))


def _last_deliveries(world: World) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the last state of the record of each delivery, by owner, webhook and event, even if it has expired."""
    found = {}
    for write in world.dynamodb.log:
        if write.sk.startswith("DELIVERY#") and write.new:
            _, webhook, event = write.sk.split("#")
            record = dynamodb_json.deserialize_all(write.new)
            found[write.pk.removeprefix("OWNER#"), webhook, event] = {**record, "written at": write.at}
    return found


@after_two_months
def each_event_is_delivered_or_has_failed(world: World, _: Ledger) -> Iterator[str]:
    """A webhook that accepts a type all the time gets each event, unless its receiver fails for too long."""
    deliveries = _last_deliveries(world)
    for (owner, id_), states in histories_of_webhooks(world).items():
        for event in world.bus.log:
            if event.detail["data"]["owner"] != owner:
                continue
            # The run that sent the event may have read the webhooks before.
            during = _states_from(states, event.at - TIMEOUTS["on_change"])
            if not all(_accepts(state, event.type) for state in during):
                continue
            record = deliveries.get((owner, id_, event.detail["id"]), {})
            urls = {state["url"] for state in during if state}
            requests = [one for url in urls for one in world.receivers.by_url[url].requests]
            got = [one for one in requests if one.headers["webhook-id"] == event.detail["id"]]
            if any(one.is_success for one in got):
                # A function that was killed after a success has not recorded it.
                if world.was_calm and record.get("status") != "succeeded" and not _has_later_failure(got):
                    yield f"{event} was delivered to {id_}, but its record is {record}"
            elif record.get("status") != "failed" or not _was_tried_enough(event, record, got):
                yield f"{event} was not delivered to {id_}: {got}, its record is {record}"


def _was_tried_enough(event: Published, record: dict[str, Any], got: list[Request]) -> bool:
    """Return whether a delivery may have failed: it was refused for good, tried nine times, or is older than a day."""
    is_old = record["written at"] > datetime.fromisoformat(event.detail["timestamp"]).timestamp() + DAY - MOST_SKEW
    return any(one.status == 410 for one in got) or len(got) >= 9 or is_old


def _has_later_failure(got: list[Request]) -> bool:
    """Return whether an attempt after a success failed: the delivery was repeated."""
    return not got[-1].is_success


def _states_from(states: list[State], at: float) -> list[dict[str, Any] | None]:
    """Return the states that a webhook had at a moment and since then."""
    before = [state.webhook for state in states if state.at <= at]
    return [before[-1] if before else None, *(state.webhook for state in states if state.at > at)]


@after_two_months
def acknowledged_changes_of_webhooks_are_made(world: World, ledger: Ledger) -> Iterator[str]:
    histories = histories_of_webhooks(world)
    for act in ledger.of("create webhook", "change webhook", "rotate secret", "delete webhook"):
        if not act.done:
            continue
        states = histories[act.owner, act.details.get("webhook", act).body["id"]]
        before, *after = _states_from([state for state in states if state.at <= act.ended], act.started)
        if not any(_is_made(act, before, state) for state in (before, *after)):
            yield f"{act} was acknowledged, but the webhook was {before}, then {after}"


def _is_made(act: Act, before: dict[str, Any] | None, webhook: dict[str, Any] | None) -> bool:
    """Return whether a webhook is as an action makes it that found it as ``before``."""
    if act.kind == "delete webhook" or webhook is None:
        return act.kind == "delete webhook" and webhook is None
    if act.kind == "create webhook":
        return bool(webhook["url"] == act.details["url"])
    if act.kind == "rotate secret":
        return before is not None and webhook.get("generation", 1) > before.get("generation", 1)
    state = {"enabled": True, "description": "", **webhook}
    return all(state[name] == value for name, value in act.details["changes"].items())


@after_two_months
def receivers_get_events_that_their_webhooks_accept(world: World, ledger: Ledger) -> Iterator[str]:
    on_bus = {one.detail["id"]: one.detail for one in world.bus.log}
    for owner, states, request in _requests(world):
        event = exact_json.from_json(request.body)
        id_, type_ = event["id"], event["type"]
        if request.headers["webhook-id"] != id_:
            yield f"{request} has another id than its event"
        if event["data"]["owner"] != owner:
            yield f"{owner}'s webhook got {event}"
        if type_ == "webhook.test":
            continue
        if on_bus.get(id_) != event:
            yield f"{request} is not the event on the bus: {on_bus.get(id_)}"
        if not any(_accepts(state.webhook, type_) for state in states) and not _is_manual(ledger, event):
            yield f"{states} never accepted {type_}, but got {event}"


def _is_manual(ledger: Ledger, event: dict[str, Any]) -> bool:
    """Return whether a client may have asked to send an event again, or to send a test event."""
    redelivered = [act.details["delivery"] for act in ledger.of("redeliver")]
    return event["type"] == "webhook.test" or event["id"] in redelivered


def _requests(world: World) -> Iterator[tuple[str, list[State], Request]]:
    """Yield each request to a receiver, with the owner of its webhook and the states of that."""
    for (owner, _), states in histories_of_webhooks(world).items():
        for url in {state.webhook["url"] for state in states if state.webhook}:
            for request in world.receivers.by_url[url].requests:
                yield owner, states, request


@after_two_months
def nothing_is_sent_to_a_webhook_that_is_off(world: World, ledger: Ledger) -> Iterator[str]:
    for owner, states, request in _requests(world):
        until_then = [state for state in states if state.at <= request.at]
        then = _states_from(until_then, request.at - IN_FLIGHT)
        event = exact_json.from_json(request.body)
        if not any(state and state.get("enabled", True) for state in then) and not _is_manual(ledger, event):
            yield f"{owner}'s webhook was off or deleted, but got {event['type']} at {request.at}: {then}"


@after_two_months
def only_receivers_that_fail_are_switched_off(world: World, _: Ledger) -> Iterator[str]:
    for (_owner, id_), states in histories_of_webhooks(world).items():
        for (_, before), (at, state) in itertools.pairwise(states):
            by_owner = before is None or state is None or before["updatedAt"] != state["updatedAt"]
            if by_owner or state is None or state.get("enabled", True) or not state.get("problem"):
                continue
            requests = [one for one in world.receivers.by_url[state["url"]].requests if one.at <= at]
            failed = [*itertools.takewhile(lambda one: not one.is_success, reversed(requests))]
            if not failed or (failed[0].status != 410 and failed[-1].at > at - 3 * DAY + MOST_SKEW):
                yield f"{id_} was switched off at {at}: {state}, after {failed}"


@after_two_months
def deliveries_are_signed_with_the_secrets_that_clients_know(world: World, ledger: Ledger) -> Iterator[str]:
    for act in ledger.of("create webhook"):
        if not act.done:
            continue
        rotations = [one for one in ledger.of("rotate secret") if one.details["webhook"] is act and not one.refused]
        for request in world.receivers.by_url[act.details["url"]].requests:
            for known in (act, *(one for one in rotations if one.done)):
                if _must_sign(known, rotations, request.at) and not _is_signed(request, known.body["secret"]):
                    yield f"{request} is not signed with the secret of {known}, after {rotations}"


def _must_sign(known: Act, rotations: list[Act], at: float) -> bool:
    """Return whether a delivery must be signed with a secret: the current one, or the previous one for a day."""
    later = [one for one in rotations if one is not known and one.ended >= known.started and one.started <= at]
    return known.ended + IN_FLIGHT <= at and (
        not later or (len(later) == 1 and at < later[0].started + DAY - MOST_SKEW)
    )


def _is_signed(request: Request, secret: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in request.headers["webhook-signature"].split(" ")


@after_two_months
def no_delivery_is_left(world: World, _: Ledger) -> Iterator[str]:
    for record in world.dynamodb.records():
        if record["sk"]["S"].startswith("DELIVERY#"):
            yield f"{record} is left"
    yield from (f"{message.body} is on the deliveries queue" for message in world.deliveries.messages.values())


@after_two_months
def no_delivery_is_a_dead_letter(world: World, _: Ledger) -> Iterator[str]:
    yield from (f"{message.body} is a dead letter" for message in world.deliveries.dead.values())
