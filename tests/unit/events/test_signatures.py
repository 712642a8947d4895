"""The signatures of deliveries, checked with the library of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from chalicelib.events import signatures

OLD, NEW = (f"whsec_{base64.b64encode(bytes([byte]) * 32).decode()}" for byte in (1, 2))
BODY = '{"type":"item.created","data":{"item":{"price":19.90,"name":"Käse"}}}'.encode()


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_receiver_accepts_both_secrets(secret: str) -> None:
    headers = signatures.sign([NEW, OLD], "event-1", BODY, datetime.now(UTC))

    assert Webhook(secret).verify(BODY, headers) == {
        "type": "item.created",
        "data": {"item": {"price": 19.9, "name": "Käse"}},
    }


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_receiver_rejects_changed_header(name: str) -> None:
    headers = signatures.sign([NEW], "event-1", BODY, datetime.now(UTC))
    other = signatures.sign([OLD], "event-2", BODY, datetime.fromtimestamp(1_000_000_000, UTC))

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers | {name: other[name]})


def test_receiver_rejects_changed_body() -> None:
    headers = signatures.sign([NEW], "event-1", BODY, datetime.now(UTC))

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers)
