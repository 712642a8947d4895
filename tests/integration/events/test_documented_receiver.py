"""The receiver in docs/webhooks.md accepts what is sent to webhooks, and nothing else."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.events import signatures
from chalicelib.values import times
from tests.blocks import block

SECRET, OTHER = (f"whsec_{letter * 43}=" for letter in "AQ")
EVENT = b'{"type": "item.created", "id": "1", "data": {"price": 48.50}}'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run the receiver, and return its URL."""
    names: dict[str, Any] = {}
    exec(block("docs/webhooks.md", "receiver").replace("whsec_…", SECRET), names)
    server = names["ThreadingHTTPServer"](("127.0.0.1", 0), names["Receiver"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def status(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_receiver_accepts_a_delivery(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for secrets in ([SECRET], [OTHER, SECRET]):  # while a secret is replaced, the old one signs too
        assert status(url, EVENT, signatures.sign(secrets, "1", EVENT, times.now())) == 204
    assert capsys.readouterr().out.startswith("item.created 1\n")


def test_receiver_refuses_anything_else(url: str) -> None:
    now = times.now()
    changed = json.dumps(json.loads(EVENT)).encode()

    assert status(url, EVENT, {}) == 401
    assert status(url, EVENT, signatures.sign([OTHER], "1", EVENT, now)) == 401
    assert status(url, changed, signatures.sign([SECRET], "1", EVENT, now)) == 401
    assert status(url, EVENT, signatures.sign([SECRET], "1", EVENT, now) | {"webhook-id": "2"}) == 401
    assert status(url, EVENT, signatures.sign([SECRET], "1", EVENT, now - timedelta(minutes=6))) == 401
