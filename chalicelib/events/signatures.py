"""Sign deliveries as the Standard Webhooks specification says, so that a receiver can check them with any library.

Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Verifying webhook authenticity".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from chalicelib.catalogue import webhook_secrets


def sign(secrets: Sequence[str], event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers for a delivery: its id, its time and one signature for each of ``secrets``.

    A receiver accepts a delivery if one of the signatures fits its secret. So while a secret is replaced, deliveries
    are signed with the old one too.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((event_id.encode(), timestamp.encode(), body))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(webhook_secrets.PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
