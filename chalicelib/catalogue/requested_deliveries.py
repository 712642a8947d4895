"""Deliveries that the owner of a webhook asks for: of a test event, or of an earlier event again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from chalicelib import errors
from chalicelib.aws import queue
from chalicelib.catalogue import delivery_records, webhooks
from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.catalogue.webhooks import DeliveryMessage
from chalicelib.values import exact_json, ids, times


class WebhookTestData(msgspec.Struct, frozen=True, rename="camel"):
    """Which webhook the event was sent to."""

    owner: str
    webhook_id: str


class WebhookTest(msgspec.Struct, frozen=True, tag_field="type", tag=webhooks.TEST_EVENT):
    """The owner of a webhook has asked for this event, to test the receiver."""

    id: str
    timestamp: str
    data: WebhookTestData
    schema: Literal[1] = 1


def find_newest(owner: str, webhook_id: str) -> list[DeliveryRecord]:
    """Return the latest deliveries to a webhook, newest first. Raise WebhookNotFoundError."""
    webhooks.get(owner, webhook_id)
    return delivery_records.find_newest(owner, webhook_id)


def send_test(owner: str, webhook_id: str, at: datetime) -> str:
    """Send a test event to a webhook, even if it is switched off. Return the id of the event, and so of the delivery.

    Raise WebhookNotFoundError, and BusyError if SQS did not accept the message.
    """
    webhooks.get(owner, webhook_id)
    event = WebhookTest(ids.new_id(times.unix_ms(at)), times.format_time(at), WebhookTestData(owner, webhook_id))
    _send(owner, webhook_id, exact_json.to_json(event))
    return event.id


def send_again(owner: str, webhook_id: str, event_id: str) -> None:
    """Send an event to a webhook again, as it was, even if the webhook is switched off.

    Raise WebhookNotFoundError, DeliveryNotFoundError, and BusyError if SQS did not accept the message.
    """
    webhooks.get(owner, webhook_id)
    delivery = delivery_records.get(owner, webhook_id, event_id)
    _send(owner, webhook_id, delivery.event.encode())


def _send(owner: str, webhook_id: str, event: bytes) -> None:
    try:
        webhooks.send(DeliveryMessage(owner, webhook_id, msgspec.Raw(event), manual=True))
    except queue.QueueError:
        raise errors.BusyError(problem="The queue did not accept the message") from None
