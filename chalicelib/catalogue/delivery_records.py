"""The record of each delivery of an event to a webhook: what happened, and what is needed to send it again.

A delivery that waits for the hourly cleanup has ``due_at``. DynamoDB deletes a record a week after its last attempt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from chalicelib import errors
from chalicelib.aws import table

MAX_LISTED = 100
"""Deliveries of one list."""

_KEPT_FOR = timedelta(days=7)


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
    """While the delivery is pending: when it is attempted next, or a little later."""
    due_at: str | None = None
    """While the delivery waits for the cleanup: when that sends its message again."""
    response_status: int | None = None
    duration_ms: int | None = None
    response: str = ""
    """The beginning of the last response's body."""
    error: str = ""
    """Why the last attempt failed, or why there was none."""
    revision: int = 0
    """How often the record was written."""


def find(owner: str, webhook_id: str, event_id: str) -> DeliveryRecord | None:
    """Return the delivery of an event to a webhook, or None if it was not attempted yet or is over for a week."""
    record = table.get(_key(owner, webhook_id, event_id))
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
        unchanged = table.attributes_are(revision=old.revision) if old.revision else table.ABSENT
        put = table.Put(
            _key(owner, new.webhook_id, new.event_id),
            msgspec.to_builtins(changed),
            unchanged,
            due_at=changed.due_at,
            delete_after=at + _KEPT_FOR,
        )
        with contextlib.suppress(table.WriteRejectedError):
            table.write(put)
            return changed
    raise errors.BusyError


def _key(owner: str, webhook_id: str, event_id: str) -> table.Key:
    return table.Key(owner, "DELIVERY", f"{webhook_id}#{event_id}")
