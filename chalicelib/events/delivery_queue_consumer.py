"""Deliver events to webhooks: process the messages of the deliveries queue, each on its own.

A delivery is attempted at once, and again after growing waits if that fails. For short waits, the message stays in the
queue. For long ones, the record of the delivery waits, and the hourly cleanup sends its message again: so few messages
are in flight, even if many deliveries wait for a receiver that is down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from chalicelib import aws, errors, telemetry
from chalicelib.catalogue import delivery_records, sqs_batches, webhook_health, webhook_secrets, webhooks
from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.catalogue.webhooks import DeliveryMessage, Webhook
from chalicelib.events import delivery_attempts
from chalicelib.events import delivery_schedule as schedule
from chalicelib.events.delivery_attempts import Attempt
from chalicelib.values import ids, times

# Many deliveries can wait for slow receivers at once, but the client keeps only CONNECTIONS connections to the table.
# More calls at once would each open a new one.
_table_calls = threading.BoundedSemaphore(aws.CONNECTIONS)


class Event(msgspec.Struct, frozen=True):
    """The data of an event that its delivery needs."""

    id: str
    type: str
    data: EventData


class EventData(msgspec.Struct, frozen=True, rename="camel"):
    """The item that changed. A test event has none."""

    item_id: str | None = None


def process_batch(received: Sequence[ReceivedMessage]) -> dict[str, Any] | None:
    """Process messages at the same time. SQS delivers those again that failed or are to be attempted again soon.

    Return and raise what :func:`sqs_batches.finish` does.
    """
    with ThreadPoolExecutor(len(received)) as pool:
        waits = list(pool.map(_process_logged, received))
    delays = {one: wait for one, wait in zip(received, waits, strict=True) if wait is not None}
    done = [one for one in received if one not in delays]
    return sqs_batches.finish(received, delays, lambda: sqs_batches.delete(done, "deliveries"), "deliveries")


def _process_logged(received: ReceivedMessage) -> int | None:
    try:
        return process_message(received.body)
    except Exception:  # noqa: BLE001 - an error must not fail the batch: the message is delivered again
        telemetry.logger.exception("Message failed", message_id=received.message_id)
        telemetry.add_count("MessagesFailed")
        return sqs_batches.retry_delay(received)
    finally:
        telemetry.set_owner(None)  # This thread may process another message next.


def process_message(body: str) -> int | None:
    """Deliver the event in a message, unless it is delivered already or the webhook is not to be tried now.

    Return the seconds until SQS is to deliver the message again, or None if it is not needed any more. Raise
    msgspec.MsgspecError if the message is invalid, and the errors of the table.
    """
    message, event = parse(body)
    telemetry.set_owner(message.owner)
    with _table_calls:
        stored = delivery_records.find(message.owner, message.webhook_id, event.id)
        if not message.manual and (seconds := schedule.seconds_early(stored, times.now())):
            # If the time is far off, the record waits for the cleanup, which sends another message.
            return seconds if seconds <= schedule.MAX_WAIT_IN_QUEUE else None
        webhook = _find_webhook_to_try(message, event, stored)
    if webhook is None:
        return None
    at = times.now()
    secrets = webhook_secrets.for_signing(message.owner, webhook, at)
    attempt = delivery_attempts.send(webhook.url, secrets, event.id, bytes(message.event), at)
    _log(webhook, event, attempt)
    with _table_calls:
        return _record_attempt(message, event, webhook, attempt)


def parse(body: str) -> tuple[DeliveryMessage, Event]:
    """Return a message, and what is needed of its event. Raise msgspec.MsgspecError if it is invalid."""
    message = msgspec.json.decode(body, type=DeliveryMessage)
    event = msgspec.json.decode(message.event, type=Event)
    # They become parts of keys and headers.
    if not (ids.is_owner(message.owner) and ids.is_id(message.webhook_id) and ids.is_uuid7(event.id)):
        raise msgspec.ValidationError("The owner, the webhook's id or the event's id is invalid.")
    return message, event


def _find_webhook_to_try(message: DeliveryMessage, event: Event, stored: DeliveryRecord | None) -> Webhook | None:
    """Return the webhook, or None if the delivery is not to be attempted now. Its record says why."""
    if stored and stored.status != "pending" and not message.manual:
        return None  # The delivery has ended: the queue delivered its message twice, or the feed sent it twice.
    try:
        webhook = webhooks.get(message.owner, message.webhook_id)
    except errors.WebhookNotFoundError:
        if stored:
            _change_record(message, event, lambda delivery: schedule.given_up(delivery, "The webhook was deleted."))
        return None
    if message.manual:
        return webhook
    if not webhook.enabled:
        _change_record(message, event, lambda delivery: schedule.given_up(delivery, "The webhook is switched off."))
        return None
    if not _begin_try(message.owner, webhook):
        telemetry.add_count("DeliveriesDeferred")
        _change_record(message, event, lambda delivery: schedule.deferred(delivery, times.now()))
        return None
    return webhook


def _begin_try(owner: str, webhook: Webhook) -> bool:
    """Return whether a delivery may be attempted. If so and the webhook is failing, block others for some minutes."""
    if not webhook_health.is_failing(webhook):
        return True
    at, may_try = times.now(), False

    def begin(current: Webhook) -> Webhook:
        nonlocal may_try
        may_try = webhook_health.can_be_tried(current, at)
        return webhook_health.after_probe_began(current, at) if may_try else current

    if webhook_health.can_be_tried(webhook, at):
        webhooks.change(owner, webhook.id, begin)
    return may_try


def _record_attempt(message: DeliveryMessage, event: Event, webhook: Webhook, attempt: Attempt) -> int | None:
    """Record an attempt on its webhook and on its delivery.

    Return the seconds until SQS is to deliver the message again, or None if it is not needed any more.
    """
    is_off = not _change_webhook(message, webhook, attempt).enabled

    def after(delivery: DeliveryRecord) -> DeliveryRecord:
        if message.manual:
            return schedule.after_manual_attempt(delivery, attempt)
        tried = schedule.after_attempt(delivery, attempt)
        return schedule.given_up(tried, attempt.error) if is_off and attempt.error else tried

    delivery = _change_record(message, event, after)
    return None if message.manual else schedule.seconds_in_queue(delivery)


def _change_webhook(message: DeliveryMessage, webhook: Webhook, attempt: Attempt) -> Webhook:
    """Record an attempt on its webhook, and return that. A manual attempt that fails is not counted."""

    def after(current: Webhook) -> Webhook:
        if current.url != webhook.url or not current.enabled:
            return current  # An attempt at another URL, or before the webhook was switched off, does not count.
        if not attempt.error:
            return webhook_health.after_success(current)
        if attempt.status == delivery_attempts.GONE:
            return webhook_health.switched_off(current, attempt.error)
        return current if message.manual else webhook_health.after_failure(current, attempt.error, attempt.at)

    try:
        changed = webhooks.change(message.owner, webhook.id, after)
    except errors.WebhookNotFoundError:
        return webhook  # It was deleted meanwhile.
    except errors.BusyError:
        telemetry.logger.warning("Counting an attempt failed: too many at the same time", webhook_id=webhook.id)
        return webhook
    if webhook.enabled and not changed.enabled:
        telemetry.logger.warning("Webhook switched off", webhook_id=webhook.id, problem=changed.problem)
        telemetry.add_count("WebhooksSwitchedOff")
    return changed


def _change_record(
    message: DeliveryMessage, event: Event, transform: Callable[[DeliveryRecord], DeliveryRecord]
) -> DeliveryRecord:
    new = DeliveryRecord(
        webhook_id=message.webhook_id,
        event_id=event.id,
        event_type=event.type,
        item_id=event.data.item_id,
        event=bytes(message.event).decode(),
        created_at=times.format_time(times.from_unix_ms(ids.id_time_ms(event.id))),
    )
    return delivery_records.change(message.owner, new, transform, times.now())


def _log(webhook: Webhook, event: Event, attempt: Attempt) -> None:
    # Neither the URL nor the response: both may contain secrets of the receiver.
    telemetry.logger.info(
        "Delivery failed" if attempt.error else "Delivery succeeded",
        webhook_id=webhook.id,
        event_id=event.id,
        type=event.type,
        status=attempt.status,
        duration_ms=attempt.duration_ms,
    )
    if attempt.error:
        telemetry.add_count("DeliveriesFailed")
    else:
        telemetry.add_count("DeliveriesSucceeded")
    telemetry.add_milliseconds("DeliveryTime", attempt.duration_ms)
