"""A receiver of webhooks on this machine, which responds as its paths say."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Delivery(NamedTuple):
    """A request that was received."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """``/flaky…`` responds with 500 at first, ``/drip…`` sends a byte of its headers a second, all others with 204."""

    def __init__(self) -> None:
        self.received: list[Delivery] = []
        self._closed = threading.Event()
        receiver, counts = self, Counter[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Delivery(self.path, dict(self.headers), body))
                counts[self.path] += 1
                if self.path.startswith("/drip"):
                    self._drip()
                    return
                self.send_response(500 if self.path.startswith("/flaky") and counts[self.path] == 1 else 204)
                self.end_headers()

            def _drip(self) -> None:
                with contextlib.suppress(OSError):  # the client closes the connection
                    self.wfile.write(b"HTTP/1.1 204 No Content\r\nX-Slow: ")
                    while not receiver._closed.wait(1):
                        self.wfile.write(b"x")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def at(self, path: str) -> list[Delivery]:
        """Return what was received at ``path``."""
        return [one for one in self.received if one.path == path]

    def close(self) -> None:
        """Stop responding."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
