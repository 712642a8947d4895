"""``chalice local`` responds as the deployed API does."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest
from chalice import local as chalice_server
from chalice.app import AuthResponse, Request, Response
from chalice.config import Config

import app
from chalicelib.http import api, chalice_local, responses
from chalicelib.http.chalice_local import Gateway
from tests.builders import as_json
from tests.integration.test_telemetry import logs

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask() -> Ask:
    return asking(app.app)


def asking(api: api.Api) -> Ask:
    def ask(method: str, path: str, **headers: str) -> dict[str, Any]:
        return Gateway(api, Config.create()).handle_request(method, path, headers, b"")

    return ask


def status_and_code(response: dict[str, Any]) -> tuple[int, str]:
    body = json.loads(response["body"])
    assert set(body) == {"error", "message", "requestId"}
    assert body["requestId"] == response["headers"]["X-Request-Id"]
    assert response["headers"]["X-Content-Type-Options"] == "nosniff"
    assert response["headers"]["Access-Control-Allow-Origin"] == "*"
    assert response["headers"]["Content-Type"] == "application/json"
    return response["statusCode"], body["error"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer abc"}, {"Authorization": "Bearer abc"}])
@pytest.mark.parametrize("path", ["/nowhere", "/items/1/2/3", "//", "/%2e%2e", "/items%2F1"])
def test_unknown_path_is_not_found(ask: Ask, path: str, headers: dict[str, str]) -> None:
    assert status_and_code(ask("GET", path, **headers)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/items", "/items/", "/items?limit=1", "/items/?limit=1"])
def test_trailing_slash_is_ignored(ask: Ask, path: str) -> None:
    assert ask("GET", path)["statusCode"] == 200


def test_path_is_decoded_once(ask: Ask) -> None:
    assert "There is no item a b%2520ü." in json.loads(ask("GET", "/items/a%20b%252520%C3%BC")["body"])["message"]


def test_id_may_be_escaped(ask: Ask) -> None:
    gateway = Gateway(app.app, Config.create())
    made = gateway.handle_request("POST", "/items", {"content-type": "application/json"}, as_json())
    id_ = json.loads(made["body"])["id"]

    assert ask("GET", f"/items/{id_.replace('-', '%2D')}")["statusCode"] == 200


@pytest.mark.parametrize("path", ["/health", "/items", "/nowhere"])
def test_response_to_head_has_no_body(ask: Ask, path: str) -> None:
    # The client would read it as the next response on a persistent connection.
    got, response = ask("GET", path), ask("HEAD", path)

    assert response["statusCode"] == got["statusCode"]
    assert response["body"] is None
    assert response["headers"]["Content-Length"] == str(len(got["body"]))


def test_simultaneous_requests_are_not_mixed_up() -> None:
    # chalice local handles each request in its own thread, all with one app.
    both, first_has_begun, second_has_ended = api.Api(), threading.Event(), threading.Event()

    def wait(request: Request, get_response: Callable[[Request], Response]) -> Response:
        if request.path == "/first":
            first_has_begun.set()
            assert second_has_ended.wait(10)
        return get_response(request)

    @both.route("/first", public=True)
    def first(request: Request) -> Response:
        return responses.json_response(request.path)

    @both.route("/second", public=True)
    def second(request: Request) -> Response:
        return responses.json_response(request.path)

    both.register_middleware(wait, "http")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asking(both), "GET", "/first")
        assert first_has_begun.wait(10)
        assert asking(both)("GET", "/second")["body"] == '"/second"'
        second_has_ended.set()

        assert waiting.result()["body"] == '"/first"'


class TestSignIn:
    def test_request_without_a_token_is_unauthorized(self) -> None:
        response = asking(closed(lambda: None))("GET", "/things")

        assert status_and_code(response) == (401, "UNAUTHORIZED")
        assert response["headers"]["WWW-Authenticate"].startswith("Bearer")

    def test_denied_token_is_unauthorized(self) -> None:
        response = asking(closed(lambda: AuthResponse(routes=[], principal_id="nobody")))(
            "GET", "/things", authorization="x"
        )

        assert status_and_code(response) == (401, "UNAUTHORIZED")

    def test_valid_token_is_accepted(self) -> None:
        good = AuthResponse(routes=["*"], principal_id="ann")

        assert asking(closed(lambda: good))("GET", "/things", authorization="x")["statusCode"] == 200

    @pytest.mark.parametrize("error", [RuntimeError("MARKER"), None])
    def test_failing_authorizer_is_an_internal_error(self, error: Exception | None) -> None:
        def fail() -> None:
            if error:
                raise error

        response = asking(closed(fail))("GET", "/things", authorization="x")

        assert status_and_code(response) == (500, "INTERNAL_ERROR")
        assert "MARKER" not in response["body"]


def closed(decide: Callable[[], AuthResponse | None]) -> api.Api:
    guarded = api.Api()
    guarded.default_authorizer = guarded.authorizer()(lambda request: decide())

    @guarded.route("/things")
    def list_things(request: Request) -> Response:
        return responses.json_response([])

    return guarded


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Return the address of a server like the one that ``chalice local`` starts."""
    for place, name in (
        (chalice_server, "LocalGateway"),
        (chalice_server.ChaliceRequestHandler, "log_request"),
        (chalice_server.ChaliceRequestHandler, "log_message"),
        (chalice_server.ChaliceRequestHandler, "disable_nagle_algorithm"),
        (chalice_server.ThreadedHTTPServer, "handle_error"),
        (chalice_server.ThreadedHTTPServer, "request_queue_size"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))
    levels = {name: logging.getLogger(name).level for name in ("", "urllib3.connectionpool")}
    chalice_local.prepare()
    server = chalice_server.LocalDevServer(app.app, Config.create(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.server.serve_forever, daemon=True)
    thread.start()
    yield server.server.server_address[:2]
    server.shutdown()
    server.server.server_close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("served")
def test_many_clients_can_connect_at_once() -> None:
    dev_server = chalice_server.LocalDevServer(app.app, Config.create(), "127.0.0.1", 0)
    host, port = dev_server.server.server_address[:2]
    with contextlib.ExitStack() as open_:
        open_.callback(dev_server.server.server_close)
        clients = [open_.enter_context(contextlib.closing(HTTPConnection(host, port, timeout=5))) for _ in range(50)]
        for client in clients:
            client.request("GET", "/health")  # Nothing accepts connections yet.

        threading.Thread(target=dev_server.server.serve_forever, daemon=True).start()
        open_.callback(dev_server.shutdown)

        assert [client.getresponse().status for client in clients] == [200] * 50


def test_body_is_sent_with_its_headers(served: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    options: queue.Queue[int] = queue.Queue()

    def shutdown_request(_: Any, connection: socket.socket) -> None:
        options.put(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        connection.close()

    monkeypatch.setattr(chalice_server.ThreadedHTTPServer, "shutdown_request", shutdown_request)
    with contextlib.closing(HTTPConnection(*served)) as connection:
        connection.request("GET", "/health")
        connection.getresponse().read()

    assert options.get(timeout=10) != 0


class TestLog:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/health", 200), ("GET", "/nowhere?a=b", 404), ("OPTIONS", "/items", 200), ("BREW", "/health", 405)],
    )
    def test_request_is_logged_in_one_line(
        self, served: tuple[str, int], logged: Callable[[], str], method: str, path: str, status: int
    ) -> None:
        connection = HTTPConnection(*served)
        connection.request(method, path)
        assert connection.getresponse().status == status
        connection.close()

        (line,) = logs(logged())
        assert (line["message"], line["method"], line["path"], line["status"]) == (
            "Response sent",
            method,
            path.partition("?")[0],
            status,
        )

    def test_aborted_connection_logs_no_traceback(self, served: tuple[str, int], logged: Callable[[], str]) -> None:
        for sent in (b"GET /health HTTP/1.1\r\n\r\n", b"POST /items HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
            with socket.create_connection(served) as connection:
                # Closed like this, the connection is reset (socket(7), SO_LINGER).
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(sent)
        HTTPConnection(*served).request("GET", "/health")
        time.sleep(0.2)

        assert "Traceback" not in logged()

    def test_body_is_read_in_full(self, served: tuple[str, int]) -> None:
        connection = HTTPConnection(*served, timeout=10)
        connection.request("POST", "/items", b'{"name": "Vase"}', {"Content-Type": "application/json"})

        answer = connection.getresponse()

        assert (answer.status, json.loads(answer.read())["name"]) == (201, "Vase")

    @pytest.mark.parametrize(
        "framing",
        [
            b"Content-Length: x\r\n\r\n{}",
            b"Content-Length: -2\r\n\r\n{}",
            b"Transfer-Encoding: chunked\r\n\r\nx\r\n{}",
            b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}",
        ],
    )
    def test_body_of_unknown_length_is_rejected(
        self, served: tuple[str, int], logged: Callable[[], str], framing: bytes
    ) -> None:
        with socket.create_connection(served, timeout=10) as connection:
            connection.sendall(b"POST /items HTTP/1.1\r\nHost: %s:%d\r\n" % (served[0].encode(), served[1]) + framing)
            status_line = connection.makefile("rb").readline()

        assert status_line.split(b" ")[1:2] == [b"400"]
        assert [line["message"] for line in logs(logged())] == ["Not an HTTP request"]

    def test_other_errors_of_the_server_are_logged(
        self, served: tuple[str, int], logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Gateway, "handle_request", lambda *_, **__: {})

        with contextlib.suppress(OSError, HTTPException):
            connection = HTTPConnection(*served)
            connection.request("GET", "/health")
            connection.getresponse()

        (line,) = logs(logged())
        assert (line["level"], line["message"]) == ("ERROR", "Request failed")

    def test_libraries_are_silent_below_warning(self, served: tuple[str, int], logged: Callable[[], str]) -> None:
        logging.getLogger("botocore.credentials").info("Found credentials")
        logging.getLogger("urllib3.connectionpool").warning("Connection pool is full")

        assert not logging.getLogger("botocore.credentials").isEnabledFor(logging.INFO)
        assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.WARNING)
        assert logged() == ""
