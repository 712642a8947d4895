"""The secrets with which deliveries are signed. They are derived when they are needed, and stored nowhere.

A secret is an HMAC-SHA256 of the owner, the webhook and the generation of its secret, by the key of the stage. It has
the form of the Standard Webhooks specification: ``whsec_`` and 32 bytes in base64.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib import telemetry
from chalicelib.aws import webhook_master_key
from chalicelib.values import times

if TYPE_CHECKING:
    from chalicelib.catalogue.webhooks import Webhook

PREFIX = "whsec_"

telemetry.add_secret_pattern(rf"({PREFIX})[\w+/=-]+")


def of(owner: str, webhook: Webhook) -> str:
    """Return the secret of a webhook, which only its owner may see. If the stage has no key yet, it is made."""
    return _derive(webhook_master_key.read_or_create(), owner, webhook.id, webhook.generation)


def for_signing(owner: str, webhook: Webhook, at: datetime) -> list[str]:
    """Return the secrets with which a delivery at ``at`` is signed: the current one, then the previous one if valid."""
    is_rotating = webhook.previous_until is not None and times.format_time(at) < webhook.previous_until
    generations = range(webhook.generation, webhook.generation - 1 - is_rotating, -1)
    return [_derive(webhook_master_key.read(), owner, webhook.id, generation) for generation in generations]


def _derive(key: bytes, owner: str, webhook_id: str, generation: int) -> str:
    # No part contains a line break: see ids.is_owner.
    message = f"{owner}\n{webhook_id}\n{generation}"
    return PREFIX + base64.b64encode(hmac.digest(key, message.encode(), "sha256")).decode()
