"""Raw HTTP requests, byte for byte: what tests send that a well-behaved client would not."""

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
    """A response as it was on the wire."""

    status: int
    headers: Message
    body: bytes
    """All that follows the headers, for HEAD too."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The code of an error; an empty string for a success."""
        return str(self.json()["error"]) if self.status >= 400 else ""


class Door(NamedTuple):
    """One address of the API."""

    name: str
    url: str

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Iterable[Header] = (), raw: bytes = b""
    ) -> Reply:
        """Send a request with exactly these headers, in this order, beside Host, Connection and Content-Length.

        ``raw`` is sent after the headers as it is, without a length.
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
        return _parsed(received, method)

    def json(self, method: str, path: str, value: Any = None, **headers: str) -> Reply:
        """Send ``value`` as JSON, if any; header names take _ for -."""
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
    """A socket, as far as http.client reads one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _parsed(received: bytes, method: str) -> Reply:
    response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
    response.begin()
    body = received.partition(b"\r\n\r\n")[2] if method == "HEAD" else response.read()
    return Reply(response.status, response.headers, body)
