"""Send raw HTTP requests, byte for byte, including requests that a correct client does not send."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterable
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Header = tuple[str, str | bytes]


class Reply(NamedTuple):
    """An HTTP response as received."""

    status: int
    headers: Message
    body: bytes
    """Everything after the headers, also for HEAD."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Return the error code; an empty string if the status is below 400."""
        return str(self.json()["error"]) if self.status >= 400 else ""


class Door(NamedTuple):
    """One base URL of the API."""

    name: str
    url: str

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Iterable[Header] = (), raw: bytes = b""
    ) -> Reply:
        """Send a request with exactly these headers, in this order, plus Host, Connection and Content-Length.

        ``raw`` is sent unchanged after the headers, without Content-Length.
        """
        address = urlsplit(self.url)
        sent: list[Header] = [("Host", address.netloc), ("Connection", "close"), *headers]
        if body is not None:
            sent.append(("Content-Length", str(len(body))))
        head = f"{method} {address.path}{path} HTTP/1.1\r\n".encode()
        head += b"".join(name.encode() + b": " + _encoded(value) + b"\r\n" for name, value in sent)
        with socket.create_connection((address.hostname or "", address.port or 80), timeout=60) as connection:
            connection.sendall(head + b"\r\n" + (body or raw))
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        return parsed(received, method)

    def json(self, method: str, path: str, value: Any = None, **headers: str) -> Reply:
        """Send a request with ``value`` as JSON unless it is None; write - in header names as _."""
        sent = [(name.replace("_", "-"), text) for name, text in headers.items()]
        if value is None:
            return self.send(method, path, headers=sent)
        return self.send(method, path, json.dumps(value).encode(), [("Content-Type", "application/json"), *sent])

    def item(self, **fields: Any) -> Any:
        """Create an item and return it."""
        reply = self.json("POST", "/items", {"title": "Vase"} | fields)
        assert reply.status == 201, reply.body
        return reply.json()


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


class _Received:
    """The part of the socket interface that http.client reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def parsed(received: bytes, method: str) -> Reply:
    """Return the response in ``received``, to a request with this method."""
    response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
    response.begin()
    body = received.partition(b"\r\n\r\n")[2] if method == "HEAD" else response.read()
    return Reply(response.status, response.headers, body)
