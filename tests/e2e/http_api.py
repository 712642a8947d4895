"""Send requests to the app in this process as an HTTP API of API Gateway does (payload format 2.0)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import app
from tests import http_api_events
from tests.e2e.door import Door, Header, Reply, parsed
from tests.integration.stage import context
from tools.stage.http_api_conversion import API_STAGE


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


class _Handler(BaseHTTPRequestHandler):
    """Passes a request to the app, without the stage in its path."""

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        path = self.path.removeprefix(f"/{API_STAGE}") or "/"
        reply = HttpApi("HTTP API", "").send(self.command, path, body, self.headers.items())
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


for _method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"):
    setattr(_Handler, f"do_{_method}", _Handler.respond)


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Serve the app on a free port as an HTTP API does, one request at a time. Yield its URL without a final slash."""
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{API_STAGE}"
        finally:
            server.shutdown()
            thread.join()
