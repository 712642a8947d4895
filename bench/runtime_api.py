"""The Lambda Runtime API (version 2018-06-01), as much of it as AWS's runtime interface client calls.

For one execution environment: it asks for the next event when it has started, and gets none before there is one.
"""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

PATH = "/2018-06-01/runtime"


class FunctionError(Exception):
    """The function failed, or did not answer; the message is what it said."""


class Answered(NamedTuple):
    """What the function answered, and when (time.perf_counter)."""

    body: Any
    at: float


class RuntimeApi:
    """Serves one execution environment. Use it with ``with``."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.events = queue.Queue()
        self._server.happened = queue.Queue()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def await_ready(self, within: float) -> float:
        """When the environment first asked for an event: its init was over. Raises FunctionError."""
        return self._next("next", within).at

    def invoke(self, event: Any, within: float) -> Answered:
        """Hands an event over and gives the answer to it. Raises FunctionError."""
        self._server.events.put(event)
        answered = self._next("response", within)
        # It asks for the next one by itself.
        self._next("next", within)
        return answered

    def _next(self, expected: str, within: float) -> Answered:
        try:
            happened, answered = self._server.happened.get(timeout=within)
        except queue.Empty:
            raise FunctionError(f"There was no {expected!r} within {within:.0f} s.") from None
        if happened != expected:
            raise FunctionError(json.dumps(answered.body)[:2000])
        return answered


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    events: queue.Queue[Any]
    happened: queue.Queue[tuple[str, Answered]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        assert self.path == f"{PATH}/invocation/next"
        self.server.happened.put(("next", Answered(None, time.perf_counter())))
        event = self.server.events.get()
        if event is None:
            self.close_connection = True
            return
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4()))
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 300) * 1000)))
        self.send_header(
            "Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:measured"
        )
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_POST(self) -> None:
        at = time.perf_counter()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        happened = self.path.rpartition("/")[2]  # response or error
        self.server.happened.put((happened, Answered(json.loads(body), at)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass
