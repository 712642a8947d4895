"""Webhooks: the URLs of an owner that receive events. All of an owner's are in one record.

Each write of the record is conditional on its revision, so the limit holds however many requests run at once. No secret
is stored (see ``webhook_secrets``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal

import msgspec

from chalicelib import errors
from chalicelib.aws import table

MAX_WEBHOOKS = 10
"""Of one owner. Each batch of changes reads all of them."""

EventType = Literal[
    "item.created",
    "item.updated",
    "item.deleted",
    "picture.ready",
    "picture.failed",
    "item.published",
    "item.unpublished",
]
"""The types of events that a webhook can receive."""

TEST_EVENT = "webhook.test"
"""The type of the event that a client has sent to one of its webhooks, to try it."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A URL that receives events, and the state of its deliveries."""

    id: str
    url: str
    events: tuple[EventType | Literal["*"], ...]
    description: str = ""
    created_at: str
    updated_at: str
    """When the owner last changed it."""
    enabled: bool = True
    generation: int = 1
    """The number of its secret."""
    previous_until: str | None = None
    """Until when deliveries are also signed with the previous generation of the secret."""
    consecutive_failures: int = 0
    failing_since: str | None = None
    """The time of the first of the consecutive failures."""
    probe_at: str | None = None
    """When the next delivery may be attempted while the webhook is failing."""
    problem: str = ""
    """Why deliveries fail, or why the webhook was switched off: a text for its owner."""

    def accepts(self, event_type: str) -> bool:
        """Return whether it receives events of this type. A webhook that is switched off receives none."""
        return self.enabled and ("*" in self.events or event_type in self.events)


class Webhooks(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The record of an owner's webhooks, oldest first."""

    webhooks: tuple[Webhook, ...] = ()
    revision: int = 0
    """How often the record was written."""


class DeliveryMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Deliver an event to a webhook: a message of the deliveries queue.

    ``event`` is the JSON that is signed and sent, byte for byte. ``manual`` is true if the owner asked for it.
    """

    owner: str
    webhook_id: str
    event: msgspec.Raw
    manual: bool = False


def find_all(owner: str) -> tuple[Webhook, ...]:
    """Return the owner's webhooks, oldest first."""
    return _find(owner).webhooks


def get(owner: str, webhook_id: str) -> Webhook:
    """Return a webhook. Raise WebhookNotFoundError if it does not exist."""
    return _select(_find(owner), webhook_id)


def change(owner: str, webhook_id: str, transform: Callable[[Webhook], Webhook]) -> Webhook:
    """Replace a webhook by ``transform(webhook)``, and return it.

    If another request changes one of the owner's webhooks in between, ``transform`` is called again. If it returns its
    argument, nothing is written.

    Raise WebhookNotFoundError, what ``transform`` raises, and BusyError after eight attempts.
    """

    def with_change(old: Webhooks) -> tuple[Webhook, ...]:
        webhook = _select(old, webhook_id)
        changed = transform(webhook)
        if changed is webhook:
            return old.webhooks
        return tuple(changed if one is webhook else one for one in old.webhooks)

    return _select(_change_all(owner, with_change), webhook_id)


def _change_all(owner: str, transform: Callable[[Webhooks], tuple[Webhook, ...]]) -> Webhooks:
    """Replace the owner's webhooks by ``transform(webhooks)``, and return the record.

    If another request changes them in between, ``transform`` is called again. If it returns the same tuple, nothing is
    written. Raise what ``transform`` raises, and BusyError after eight attempts.
    """
    new: Webhooks | None = None
    for _ in table.write_attempts():
        old = _find(owner)
        if old == new:
            return old  # The write was refused although an earlier attempt of the SDK had succeeded.
        webhooks = transform(old)
        if webhooks is old.webhooks:
            return old
        new = Webhooks(webhooks, old.revision + 1)
        unchanged = table.attributes_are(revision=old.revision) if old.revision else table.ABSENT
        try:
            with contextlib.suppress(table.WriteRejectedError):
                table.write(table.Put(_key(owner), msgspec.to_builtins(new), unchanged))
                return new
        except table.FAILURES:
            if _find(owner) != new:
                raise
            return new
    raise errors.BusyError


def _find(owner: str) -> Webhooks:
    record = table.get(_key(owner))
    return msgspec.convert(record, Webhooks) if record else Webhooks()


def _select(found: Webhooks, webhook_id: str) -> Webhook:
    for webhook in found.webhooks:
        if webhook.id == webhook_id:
            return webhook
    raise errors.WebhookNotFoundError(id=webhook_id)


def _key(owner: str) -> table.Key:
    return table.Key(owner, "WEBHOOKS", "")
