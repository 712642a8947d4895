"""Find the webhooks of all owners to which deliveries fail, or which are switched off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from chalicelib.aws import table
from chalicelib.catalogue import webhooks
from chalicelib.catalogue.webhooks import Webhook
from tools.ops.deployed_stage import Stage

_PAGE = 1000


class OwnedWebhook(NamedTuple):
    """A webhook and its owner."""

    owner: str
    webhook: Webhook

    @property
    def host(self) -> str:
        """The host of its URL. The path may contain a secret."""
        return urlsplit(self.webhook.url).hostname or ""


class InvalidRecord(NamedTuple):
    """A record of webhooks that cannot be read."""

    owner: str
    error: str


def find(stage: Stage, *, everything: bool) -> Iterator[OwnedWebhook | InvalidRecord]:
    """Yield the webhooks that are failing or switched off, or, with ``everything``, all. Read the whole table.

    Also yield each invalid record of webhooks.
    """
    stage.set_environment()
    position, more = None, True
    while more:
        records, position = table.scan_page(_PAGE, position, kind="WEBHOOKS")
        more = position is not None
        for key, record in records:
            try:
                found = webhooks.from_record(record).webhooks
            except msgspec.ValidationError as error:
                yield InvalidRecord(key.owner, str(error))
                continue
            yield from (OwnedWebhook(key.owner, one) for one in found if everything or one.status != "active")
