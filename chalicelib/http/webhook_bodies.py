"""The bodies of requests and responses about webhooks. This module is imported only if a request is about one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from chalicelib.catalogue import validation, webhooks
from chalicelib.http import requests, serializers, webhook_schemas
from chalicelib.values import times

if TYPE_CHECKING:
    from chalice.app import Request

    from chalicelib.catalogue.delivery_records import DeliveryRecord


def webhook_request(request: Request) -> webhook_schemas.WebhookRequest:
    """Return the body of a request to create a webhook."""
    return validation.validate(webhook_schemas.WebhookRequest, requests.json_object(request))


def webhook_changes(request: Request) -> webhooks.Changes:
    """Return what the body of a request changes in a webhook."""
    patch = validation.validate(
        webhook_schemas.WebhookPatch, requests.json_object(request, requests.MERGE_PATCH, requests.JSON)
    )
    values = {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not UNSET}
    if "description" in values:
        values["description"] = values["description"] or ""
    return webhooks.Changes(**values)


def webhook(stored: webhooks.Webhook, at: datetime) -> webhook_schemas.Webhook:
    """Return a webhook as its owner sees it at ``at``."""
    return serializers.to_schema(stored, webhook_schemas.Webhook, **_computed(stored, at))


def with_secret(stored: webhooks.Webhook, secret: str, at: datetime) -> webhook_schemas.WebhookWithSecret:
    """Return a webhook with its secret."""
    return serializers.to_schema(stored, webhook_schemas.WebhookWithSecret, secret=secret, **_computed(stored, at))


def _computed(stored: webhooks.Webhook, at: datetime) -> dict[str, Any]:
    is_rotating = stored.previous_until is not None and times.format_time(at) < stored.previous_until
    return {
        "events": list(stored.events),
        "description": stored.description or UNSET,
        "problem": stored.problem or UNSET,
        "previous_secret_until": stored.previous_until if is_rotating else UNSET,
    }


def webhook_list(stored: Iterable[webhooks.Webhook], at: datetime) -> webhook_schemas.WebhookList:
    """Return all webhooks of an owner."""
    return webhook_schemas.WebhookList([webhook(one, at) for one in stored])


def queued_delivery(delivery_id: str) -> webhook_schemas.QueuedDelivery:
    """Return a delivery that will be attempted."""
    return webhook_schemas.QueuedDelivery(delivery_id)


def deliveries(stored: Iterable[DeliveryRecord]) -> webhook_schemas.DeliveryList:
    """Return the deliveries to a webhook."""
    return webhook_schemas.DeliveryList([_delivery(one) for one in stored])


def _delivery(stored: DeliveryRecord) -> webhook_schemas.Delivery:
    return serializers.to_schema(
        stored,
        webhook_schemas.Delivery,
        id=stored.event_id,
        type=stored.event_type,
        response=stored.response or UNSET,
        error=stored.error or UNSET,
    )
