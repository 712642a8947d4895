"""The models of requests and responses about webhooks. They are imported when a request is about one.

``app.py`` refers to them by their names, so that a function does not import them when it starts.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib.catalogue import delivery_records, webhook_urls, webhooks

_Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_Count = Annotated[int, Meta(ge=0)]
_Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]

MAX_DESCRIPTION = 200

_Address = Annotated[
    str,
    Meta(
        max_length=webhook_urls.MAX_URL_LENGTH,
        description="The URL that gets events by POST: https, a host on the internet, no user name, no fragment.",
        examples=["https://www.example.com/vitrine"],
        extra_json_schema={"format": "uri"},
    ),
]
_Events = Annotated[
    list[webhooks.AcceptedEvents],
    Meta(
        min_length=1,
        max_length=len(get_args(webhooks.AcceptedEvents)),
        description="The types of events that are sent; `*` stands for all.",
    ),
]
_Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION, description="What the webhook is for.")]


class WebhookRequest(Struct, forbid_unknown_fields=True):
    """A webhook to be created."""

    url: _Address
    events: _Events
    description: _Description = ""


class WebhookPatch(Struct, forbid_unknown_fields=True):
    """A change of a webhook. Fields that are left out do not change."""

    url: _Address | UnsetType = UNSET
    events: _Events | UnsetType = UNSET
    description: (
        Annotated[_Description | None, Meta(description="What it is for; null removes the text.")] | UnsetType
    ) = UNSET
    enabled: (
        Annotated[bool, Meta(description="Whether events are sent. `true` also resets the count of failures.")]
        | UnsetType
    ) = UNSET


class Webhook(Struct, rename="camel"):
    """A URL that receives events."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case.")]
    url: Annotated[_Url, Meta(description="The URL to which events are sent.")]
    events: Annotated[list[webhooks.AcceptedEvents], Meta(description="The types of events that are sent.")]
    status: Annotated[
        webhooks.Status,
        Meta(
            description="`active`: events are delivered. `failing`: the last deliveries failed, so few are attempted "
            "until one succeeds. `off`: nothing is sent, because you switched it off, because the receiver responded "
            "with 410, or because deliveries failed for three days; `problem` says why."
        ),
    ]
    created_at: Annotated[_Time, Meta(description="When the webhook was created.")]
    updated_at: Annotated[_Time, Meta(description="When you last changed it.")]
    description: Annotated[str | UnsetType, Meta(description="What it is for; absent if there is no text.")] = UNSET
    failing_since: Annotated[
        _Time | UnsetType, Meta(description="When the first of the consecutive failures happened.")
    ] = UNSET
    problem: Annotated[
        str | UnsetType, Meta(description="Why deliveries fail or nothing is sent: a text for people.")
    ] = UNSET
    previous_secret_until: Annotated[
        _Time | UnsetType, Meta(description="The time until which deliveries are also signed with the previous secret.")
    ] = UNSET


class WebhookWithSecret(Webhook, rename="camel", kw_only=True):
    """A webhook with its secret."""

    secret: Annotated[
        str,
        Meta(
            description="The key of the signatures, in the form of the Standard Webhooks specification. It cannot be "
            "read again.",
            pattern="^whsec_[A-Za-z0-9+/]{43}=$",
        ),
    ]


class WebhookList(Struct):
    """The caller's webhooks, oldest first."""

    webhooks: Annotated[list[Webhook], Meta(max_length=webhooks.MAX_WEBHOOKS, description="Without their secrets.")]


class Delivery(Struct, rename="camel"):
    """The delivery of an event to a webhook, in one or more attempts."""

    id: Annotated[_Id, Meta(description="The id of the event, which is the header `webhook-id` of each attempt.")]
    type: Annotated[str, Meta(description="The type of the event, such as `item.created`.")]
    status: Annotated[
        Literal["pending", "succeeded", "failed"],
        Meta(description="`pending` until an attempt succeeds, or none is left."),
    ]
    attempts: Annotated[_Count, Meta(description="The number of attempts.")]
    created_at: Annotated[_Time, Meta(description="The time of the event.")]
    item_id: Annotated[_Id | UnsetType, Meta(description="The item that the event is about.")] = UNSET
    last_attempt_at: Annotated[_Time | UnsetType, Meta(description="When the last attempt was made.")] = UNSET
    next_attempt_at: Annotated[
        _Time | UnsetType, Meta(description="When the next attempt is made; it may be a little later.")
    ] = UNSET
    response_status: Annotated[int | UnsetType, Meta(description="The status of the last response.")] = UNSET
    duration_ms: Annotated[_Count | UnsetType, Meta(description="How long the last attempt took.")] = UNSET
    response: Annotated[
        str | UnsetType, Meta(description="The beginning of the body of the last response, up to 500 characters.")
    ] = UNSET
    error: Annotated[
        str | UnsetType, Meta(description="Why the last attempt failed, or was not made: a text for people.")
    ] = UNSET


class DeliveryList(Struct):
    """The deliveries to a webhook, those of the newest events first."""

    deliveries: Annotated[
        list[Delivery],
        Meta(
            max_length=delivery_records.MAX_LISTED,
            description="At most 100, of the last 7 days. A delivery is listed after its first attempt.",
        ),
    ]


class QueuedDelivery(Struct, rename="camel"):
    """A delivery that will be attempted."""

    delivery_id: Annotated[_Id, Meta(description="The `id` of the delivery, which is that of its event.")]
