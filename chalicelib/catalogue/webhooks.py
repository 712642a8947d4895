"""Webhooks: the URLs of an owner that receive events. All webhooks of an owner are in one record.

Each write of the record is conditional on its revision, so the limit holds even if many requests run at once. No secret
is stored (see ``webhook_secrets``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from chalicelib import errors
from chalicelib.aws import queue, table
from chalicelib.catalogue import webhook_secrets, webhook_urls
from chalicelib.values import ids, times

MAX_WEBHOOKS = 10
"""The most webhooks of one owner. Each batch of changes reads all of them."""

ROTATION_PERIOD = timedelta(hours=24)
"""How long deliveries are also signed with the previous secret after it was replaced."""

FAILING_AFTER = 5
"""Failed attempts in a row, of any deliveries, after which a webhook is failing."""

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

AcceptedEvents = Literal[EventType, "*"]
"""A type of events, or ``*`` for all of them, also for those that are added later."""

Status = Literal["active", "failing", "off"]

TEST_EVENT = "webhook.test"
"""The type of the event with which a client tests one of its webhooks."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A URL that receives events, and the state of its deliveries."""

    id: str
    url: str
    events: tuple[AcceptedEvents, ...]
    description: str = ""
    created_at: str
    updated_at: str
    """When the owner last changed it."""
    enabled: bool = True
    generation: int = 1
    """The number of its secret."""
    previous_until: str | None = None
    """The time until which deliveries are also signed with the previous generation of the secret."""
    consecutive_failures: int = 0
    failing_since: str | None = None
    """The time of the first of the consecutive failures."""
    probe_at: str | None = None
    """When the next delivery may be attempted while the webhook is failing."""
    problem: str = ""
    """Why deliveries fail, or why the webhook was switched off: a text for its owner."""

    @property
    def status(self) -> Status:
        """Whether events are delivered, rarely attempted because deliveries fail, or not sent."""
        if not self.enabled:
            return "off"
        return "failing" if self.consecutive_failures >= FAILING_AFTER else "active"

    def accepts(self, event_type: str) -> bool:
        """Return whether it receives events of this type. A webhook that is switched off receives none."""
        return self.enabled and ("*" in self.events or event_type in self.events)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner changes in a webhook. None means no change."""

    url: str | None = None
    events: Sequence[AcceptedEvents] | None = None
    description: str | None = None
    enabled: bool | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The new values of attributes of a Webhook."""
        events = None if self.events is None else _simplified(self.events)
        values = {"url": self.url, "events": events, "description": self.description, "enabled": self.enabled}
        return {name: value for name, value in values.items() if value is not None}


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


def create(
    owner: str, url: str, events: Sequence[AcceptedEvents], description: str, at: datetime
) -> tuple[Webhook, str]:
    """Create a webhook, and return it with its secret.

    Raise InvalidRequestError if the URL is not allowed, TooManyWebhooksError, and BusyError after eight attempts.
    """
    webhook_urls.check_url(url)
    created = times.format_time(at)
    new = Webhook(
        id=ids.new_id(times.unix_ms(at)),
        url=url,
        events=_simplified(events),
        description=description,
        created_at=created,
        updated_at=created,
    )
    secret = webhook_secrets.of(owner, new)

    def with_new(old: Webhooks) -> tuple[Webhook, ...]:
        if any(one.id == new.id for one in old.webhooks):
            return old.webhooks  # An earlier attempt has succeeded although it seemed to fail.
        if len(old.webhooks) >= MAX_WEBHOOKS:
            raise errors.TooManyWebhooksError(limit=MAX_WEBHOOKS)
        return (*old.webhooks, new)

    _change_all(owner, with_new)
    return new, secret


def update(owner: str, webhook_id: str, changes: Changes, at: datetime) -> Webhook:
    """Change a webhook as its owner asks, and return it. If nothing changes, nothing is written.

    A webhook that is enabled or switched off, or gets another URL, counts its failures from zero.

    Raise the errors of :func:`change`, and InvalidRequestError if the URL is not allowed.
    """
    if changes.url is not None:
        webhook_urls.check_url(changes.url)

    def with_changes(old: Webhook) -> Webhook:
        new = msgspec.structs.replace(old, **changes.values)
        if (new.url, new.enabled) != (old.url, old.enabled) or changes.enabled:
            new = without_failures(new)
        return old if new == old else msgspec.structs.replace(new, updated_at=times.format_time(at))

    return change(owner, webhook_id, with_changes)


def rotate_secret(owner: str, webhook_id: str, at: datetime) -> tuple[Webhook, str]:
    """Give a webhook a new secret, and return both. The previous secret also signs for ROTATION_PERIOD.

    Raise the errors of :func:`change`.
    """
    made: set[str] = set()

    def rotated(old: Webhook) -> Webhook:
        if webhook_secrets.of(owner, old) in made:
            return old  # An earlier attempt has succeeded although it seemed to fail.
        until = times.format_time(at + ROTATION_PERIOD)
        new = msgspec.structs.replace(
            old, generation=old.generation + 1, previous_until=until, updated_at=times.format_time(at)
        )
        made.add(webhook_secrets.of(owner, new))
        return new

    webhook = change(owner, webhook_id, rotated)
    return webhook, webhook_secrets.of(owner, webhook)


def delete(owner: str, webhook_id: str) -> None:
    """Delete a webhook. Events that wait for delivery to it are not delivered.

    Raise WebhookNotFoundError, and BusyError after eight attempts.
    """
    found: set[Webhook] = set()

    def without(old: Webhooks) -> tuple[Webhook, ...]:
        found.update(one for one in old.webhooks if one.id == webhook_id)
        if not found:
            raise errors.WebhookNotFoundError(id=webhook_id)
        kept = tuple(one for one in old.webhooks if one.id != webhook_id)
        # An earlier attempt may have succeeded although it seemed to fail.
        return old.webhooks if kept == old.webhooks else kept

    _change_all(owner, without)


def without_failures(webhook: Webhook) -> Webhook:
    """Return a webhook as it is when its last delivery succeeded."""
    return msgspec.structs.replace(webhook, consecutive_failures=0, failing_since=None, probe_at=None, problem="")


def send(*messages: DeliveryMessage) -> None:
    """Send messages to the deliveries queue. Raise one of queue.FAILURES.

    If one webhook has many messages, or its receiver is slow, the messages of other webhooks do not wait.
    """
    queue.send(*messages, to="deliveries", group=lambda message: message.webhook_id)


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


def _simplified(events: Sequence[AcceptedEvents]) -> tuple[AcceptedEvents, ...]:
    """Return each type once, or ``*`` alone."""
    return ("*",) if "*" in events else tuple(dict.fromkeys(events))


def _find(owner: str) -> Webhooks:
    record = table.get(_key(owner))
    return from_record(record) if record else Webhooks()


def from_record(record: table.Record) -> Webhooks:
    """Return the webhooks in a record of the table."""
    return msgspec.convert(record, Webhooks)


def _select(found: Webhooks, webhook_id: str) -> Webhook:
    for webhook in found.webhooks:
        if webhook.id == webhook_id:
            return webhook
    raise errors.WebhookNotFoundError(id=webhook_id)


def _key(owner: str) -> table.Key:
    return table.Key(owner, "WEBHOOKS", "")
