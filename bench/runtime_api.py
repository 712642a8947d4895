"""Serve the part of the Lambda Runtime API (2018-06-01) that AWS's runtime interface client calls, to one process."""

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
    """The function failed or did not answer in time. The message is its error."""


class Answer(NamedTuple):
    """The function's answer, and when it arrived (time.perf_counter)."""

    body: Any
    at: float


class RuntimeApi:
    """The API of one execution environment, a context manager."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.events = queue.Queue()
        self._server.requests = queue.Queue()
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

    def await_ready(self, timeout: float) -> float:
        """Return when the process first asked for an event, which ends its init phase. Raise FunctionError."""
        return self._next("next", timeout).at

    def invoke(self, event: Any, timeout: float) -> Answer:
        """Send an event and return the answer. Raise FunctionError."""
        self._server.events.put(event)
        answer = self._next("response", timeout)
        # The client asks for the next event by itself.
        self._next("next", timeout)
        return answer

    def _next(self, expected: str, timeout: float) -> Answer:
        try:
            request, answer = self._server.requests.get(timeout=timeout)
        except queue.Empty:
            raise FunctionError(f"No {expected!r} request within {timeout:.0f} s.") from None
        if request != expected:
            raise FunctionError(json.dumps(answer.body)[:2000])
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    events: queue.Queue[Any]
    requests: queue.Queue[tuple[str, Answer]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        assert self.path == f"{PATH}/invocation/next"
        self.server.requests.put(("next", Answer(None, time.perf_counter())))
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
        request = self.path.rpartition("/")[2]  # "response" or "error"
        self.server.requests.put((request, Answer(json.loads(body), at)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass
