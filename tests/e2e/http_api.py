"""Send requests to the app in this process as an HTTP API of API Gateway does (payload format 2.0)."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message

import app
from tests import http_api_events
from tests.e2e.door import Door, Header, Reply, parsed
from tests.integration.stage import context


class HttpApi(Door):
    """The app behind an HTTP API, which this class stands in for."""

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Iterable[Header] = (), raw: bytes = b""
    ) -> Reply:
        """Send a request; see :meth:`Door.send`. ``raw`` is the body in chunked coding."""
        if raw:
            body = parsed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + raw, "GET").body
        result = app.app(http_api_events.event(method, path, body, headers), context("api_handler", 29_000))
        assert result["multiValueHeaders"] == {}, "Payload format 2.0 has no such field."
        received = Message()
        for name, value in result["headers"].items():
            received[name] = str(value)
        content = result["body"].encode()
        received["Content-Length"] = str(len(content))
        return Reply(result["statusCode"], received, b"" if method == "HEAD" else content)
