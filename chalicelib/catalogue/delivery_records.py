"""The record of each delivery of an event to a webhook: what happened, and what is needed to send it again.

A delivery that is pending has ``due_at``, when the hourly cleanup sends its message. DynamoDB deletes a record a week
after its last change.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Literal

import msgspec

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.aws.table import Key
from chalicelib.catalogue import webhooks
from chalicelib.catalogue.webhooks import DeliveryMessage
from chalicelib.values import ids, times

MAX_LISTED = 100
"""The most deliveries in one list."""

_KEPT_FOR = timedelta(days=7)
_CLEANUP_PERIOD = timedelta(hours=1)
_MAX_RESUMED = 2000
"""The most deliveries to one webhook that a cleanup sends, so that they do not delay those of other receivers."""
_MAX_KEPT = 100_000
"""The most deliveries whose keys a cleanup reads: more than it can send, and some 50 MB."""


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A delivery: one event to one webhook, in one or more attempts."""

    webhook_id: str
    event_id: str
    event_type: str
    event: str
    """The JSON that is sent."""
    created_at: str
    """The time of the event."""
    item_id: str | None = None
    status: Literal["pending", "succeeded", "failed"] = "pending"
    attempts: int = 0
    last_attempt_at: str | None = None
    next_attempt_at: str | None = None
    """While the delivery is pending: the time of the next attempt, which may be made a little later."""
    due_at: str | None = None
    """While the delivery is pending: when the cleanup sends its message, if the queue has not delivered it before."""
    response_status: int | None = None
    duration_ms: int | None = None
    response: str = ""
    """The beginning of the last response's body."""
    error: str = ""
    """Why the last attempt failed, or why there was none."""
    revision: int = 0
    """How often the record was written."""


def find(owner: str, webhook_id: str, event_id: str) -> DeliveryRecord | None:
    """Return the delivery of an event to a webhook, or None if there is no record of it."""
    record = table.get(_key(owner, webhook_id, event_id)) if ids.is_id(event_id) else None
    return msgspec.convert(record, DeliveryRecord) if record else None


def get(owner: str, webhook_id: str, event_id: str) -> DeliveryRecord:
    """Return the delivery of an event to a webhook. Raise DeliveryNotFoundError if there is no record of it."""
    found = find(owner, webhook_id, event_id)
    if found is None:
        raise errors.DeliveryNotFoundError(id=event_id)
    return found


def find_newest(owner: str, webhook_id: str) -> list[DeliveryRecord]:
    """Return the deliveries to a webhook of the newest MAX_LISTED events, newest first."""
    found: list[DeliveryRecord] = []
    last, more = None, True
    while more and len(found) < MAX_LISTED:
        page, more = table.query_page(
            owner,
            "DELIVERY",
            (f"{webhook_id}#", f"{webhook_id}#~"),
            backwards=True,
            limit=MAX_LISTED - len(found),
            start_after=last,
        )
        found += [msgspec.convert(record, DeliveryRecord) for _, record in page]
        last = page[-1][0] if page else last
    return found


def change(
    owner: str, new: DeliveryRecord, transform: Callable[[DeliveryRecord], DeliveryRecord], at: datetime
) -> DeliveryRecord:
    """Replace a delivery by ``transform(delivery)``, and return it. If it has no record, ``new`` is transformed.

    If another function changes it in between, ``transform`` is called again. Raise what ``transform`` raises, and
    BusyError after eight attempts.
    """
    changed: DeliveryRecord | None = None
    for _ in table.write_attempts():
        old = find(owner, new.webhook_id, new.event_id) or new
        if old == changed:
            return old  # The write was refused although an earlier attempt of the SDK had succeeded.
        changed = msgspec.structs.replace(transform(old), revision=old.revision + 1)
        with contextlib.suppress(table.WriteRejectedError):
            _replace(owner, old, changed, at)
            return changed
    raise errors.BusyError


def resume(owner: str, id_: str, at: datetime) -> None:
    """Send the message of a delivery that is due. ``id_`` is the id of its record.

    Raise DeliveryNotFoundError if the delivery is no longer due, and one of queue.FAILURES.
    """
    webhook_id, _, event_id = id_.partition("#")

    delivery = get(owner, webhook_id, event_id)
    if delivery.due_at is None or delivery.due_at > times.format_time(at):
        raise errors.DeliveryNotFoundError(id=event_id)
    # If the message is lost, the next cleanup sends another one.
    later = times.format_time(at + _CLEANUP_PERIOD)
    waiting = msgspec.structs.replace(delivery, due_at=later, revision=delivery.revision + 1)
    try:
        _replace(owner, delivery, waiting, at)
    except table.WriteRejectedError:
        raise errors.DeliveryNotFoundError(id=event_id) from None  # Another function has just changed it.
    webhooks.send(DeliveryMessage(owner, webhook_id, msgspec.Raw(delivery.event.encode())))


def in_fair_order(keys: Iterable[Key]) -> list[Key]:
    """Return the keys of deliveries in an order in which no webhook waits for all deliveries of another one.

    Up to _MAX_RESUMED of each webhook and _MAX_KEPT in all are returned. No more keys are read than necessary.
    """
    number: Counter[tuple[str, str]] = Counter()
    kept: list[tuple[int, Key]] = []
    for key in keys:
        webhook = key.owner, key.id.partition("#")[0]
        if number[webhook] < _MAX_RESUMED:
            number[webhook] += 1
            kept.append((number[webhook], key))
            if len(kept) == _MAX_KEPT:
                break
    return [key for _, key in sorted(kept, key=itemgetter(0))]


def _replace(owner: str, old: DeliveryRecord, new: DeliveryRecord, at: datetime) -> None:
    """Replace the record ``old`` by ``new``. Raise a WriteRejectedError if the stored one is no longer ``old``."""
    unchanged = table.attributes_are(revision=old.revision) if old.revision else table.ABSENT
    key, record = _key(owner, new.webhook_id, new.event_id), msgspec.to_builtins(new)
    table.write(table.Put(key, record, unchanged, due_at=new.due_at, delete_after=at + _KEPT_FOR))


def _key(owner: str, webhook_id: str, event_id: str) -> Key:
    return Key(owner, "DELIVERY", f"{webhook_id}#{event_id}")
