"""When a delivery is attempted, and when it has ended: the states of its record."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.events.delivery_attempts import GONE, Attempt
from chalicelib.values import times

WAITS = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Seconds from one attempt to the next: together 22 hours and 13 minutes. After the last one, the delivery fails."""

MAX_WAIT_IN_QUEUE = 600
"""The longest wait in seconds for which a message stays in the queue. For longer ones, the record waits."""

_MAX_EARLY_SECONDS = 5
"""By how many seconds a message may be early, because clocks differ."""

LOST_AFTER = timedelta(hours=1)
"""If the queue has not delivered a message by this long after its time, the cleanup sends it again."""

MAX_AGE = timedelta(hours=24)
"""An older delivery to a failing webhook fails without another attempt."""

MIN_DEFERRAL = timedelta(hours=1)
"""How long a delivery to a failing webhook waits. If the delivery is older, it waits as long as it has existed."""


def after_attempt(delivery: DeliveryRecord, attempt: Attempt) -> DeliveryRecord:
    """Return a delivery as it is after an attempt: ended, or waiting for the next one.

    If it has ended already, because another message for it was processed at the same time, only a success changes it.
    """
    if delivery.status != "pending" and attempt.error:
        return delivery
    tried = _with_result(delivery, attempt)
    if not attempt.error:
        return _ended(tried, "succeeded")
    if attempt.status == GONE or tried.attempts > len(WAITS):
        return _ended(tried, "failed")
    wait = max(WAITS[tried.attempts - 1], attempt.retry_after)
    next_at = attempt.at + timedelta(seconds=wait)
    # SQS may deliver a message to two functions. If one deletes it, SQS does not deliver it again for the other.
    due_at = next_at if wait > MAX_WAIT_IN_QUEUE else next_at + LOST_AFTER
    return msgspec.structs.replace(tried, next_attempt_at=times.format_time(next_at), due_at=times.format_time(due_at))


def after_manual_attempt(delivery: DeliveryRecord, attempt: Attempt) -> DeliveryRecord:
    """Return a delivery as it is after an attempt that its owner asked for. If it waits, it goes on waiting."""
    tried = _with_result(delivery, attempt)
    if not attempt.error:
        return _ended(tried, "succeeded")
    waits = delivery.status == "pending" and delivery.next_attempt_at is not None
    return tried if waits else _ended(tried, "failed")


def deferred(delivery: DeliveryRecord, at: datetime) -> DeliveryRecord:
    """Return a delivery whose failing webhook must not be tried at ``at``: it waits, or fails if it is too old."""
    if delivery.status != "pending":
        return delivery
    age = at - times.parse_time(delivery.created_at)
    if age > MAX_AGE:
        return given_up(delivery, "The webhook was failing, and the event is older than 24 hours.")
    next_at = times.format_time(at + max(MIN_DEFERRAL, age))
    return msgspec.structs.replace(delivery, next_attempt_at=next_at, due_at=next_at)


def given_up(delivery: DeliveryRecord, error: str) -> DeliveryRecord:
    """Return a delivery that is not attempted any more. If it has ended already, it stays as it is."""
    if delivery.status != "pending":
        return delivery
    return msgspec.structs.replace(_ended(delivery, "failed"), error=error)


def seconds_in_queue(delivery: DeliveryRecord) -> int | None:
    """Return the seconds until SQS is to deliver a delivery's message again, or None if it is not needed any more."""
    if delivery.status != "pending" or not (delivery.last_attempt_at and delivery.next_attempt_at):
        return None
    wait = times.parse_time(delivery.next_attempt_at) - times.parse_time(delivery.last_attempt_at)
    seconds = round(wait.total_seconds())
    return seconds if seconds <= MAX_WAIT_IN_QUEUE else None


def seconds_early(delivery: DeliveryRecord | None, at: datetime) -> int:
    """Return the seconds from ``at`` to a delivery's next attempt, or 0 if its time has come or it has none.

    A message may come early if there are several for one delivery: the cleanup sends another one each hour while the
    queue is not processed. If each were an attempt, they would all be used up at once.
    """
    if delivery is None or delivery.next_attempt_at is None:
        return 0
    seconds = (times.parse_time(delivery.next_attempt_at) - at).total_seconds()
    return round(seconds) if seconds > _MAX_EARLY_SECONDS else 0


def _with_result(delivery: DeliveryRecord, attempt: Attempt) -> DeliveryRecord:
    return msgspec.structs.replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_attempt_at=times.format_time(attempt.at),
        response_status=attempt.status,
        duration_ms=attempt.duration_ms,
        response=attempt.response,
        error=attempt.error,
    )


def _ended(delivery: DeliveryRecord, status: Literal["succeeded", "failed"]) -> DeliveryRecord:
    return msgspec.structs.replace(delivery, status=status, next_attempt_at=None, due_at=None)
