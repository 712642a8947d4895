"""What `chalice local` answers in the place of API Gateway: as the packaged API does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from chalice.app import AuthResponse, Request, Response
from chalice.config import Config

import app
from chalicelib import http
from chalicelib.local import Gateway
from tests.builders import as_json

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask() -> Ask:
    return asking(app.app)


def asking(api: http.Api) -> Ask:
    def ask(method: str, path: str, **headers: str) -> dict[str, Any]:
        return Gateway(api, Config.create()).handle_request(method, path, headers, b"")

    return ask


def said(answer: dict[str, Any]) -> tuple[int, str]:
    body = json.loads(answer["body"])
    assert set(body) == {"error", "message", "requestId"}
    assert body["requestId"] == answer["headers"]["X-Request-Id"]
    assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
    assert answer["headers"]["Access-Control-Allow-Origin"] == "*"
    assert answer["headers"]["Content-Type"] == "application/json"
    return answer["statusCode"], body["error"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer abc"}, {"Authorization": "Bearer abc"}])
@pytest.mark.parametrize("path", ["/nowhere", "/items/1/2/3", "//", "/%2e%2e", "/items%2F1"])
def test_an_unknown_path_is_not_found(ask: Ask, path: str, headers: dict[str, str]) -> None:
    assert said(ask("GET", path, **headers)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/items", "/items/", "/items?limit=1", "/items/?limit=1"])
def test_a_slash_at_the_end_changes_nothing(ask: Ask, path: str) -> None:
    assert ask("GET", path)["statusCode"] == 200


def test_a_path_is_decoded_once(ask: Ask) -> None:
    assert "There is no item a b%2520ü." in json.loads(ask("GET", "/items/a%20b%252520%C3%BC")["body"])["message"]


def test_an_id_may_be_escaped(ask: Ask) -> None:
    gateway = Gateway(app.app, Config.create())
    made = gateway.handle_request("POST", "/items", {"content-type": "application/json"}, as_json())
    id_ = json.loads(made["body"])["id"]

    assert ask("GET", f"/items/{id_.replace('-', '%2D')}")["statusCode"] == 200


@pytest.mark.parametrize("path", ["/health", "/items", "/nowhere"])
def test_an_answer_to_head_has_no_body(ask: Ask, path: str) -> None:
    # It would be read as the next answer on a connection that is kept open.
    answer = ask("HEAD", path)

    assert answer["statusCode"] in (404, 405)
    assert answer["body"] is None


class TestSignIn:
    def test_without_a_token_it_is_unauthorized(self) -> None:
        answer = asking(closed(lambda: None))("GET", "/things")

        assert said(answer) == (401, "UNAUTHORIZED")
        assert answer["headers"]["WWW-Authenticate"].startswith("Bearer")

    def test_a_token_that_is_refused_is_unauthorized(self) -> None:
        answer = asking(closed(lambda: AuthResponse(routes=[], principal_id="nobody")))(
            "GET", "/things", authorization="x"
        )

        assert said(answer) == (401, "UNAUTHORIZED")

    def test_a_token_that_is_good_opens_it(self) -> None:
        good = AuthResponse(routes=["*"], principal_id="ann")

        assert asking(closed(lambda: good))("GET", "/things", authorization="x")["statusCode"] == 200

    @pytest.mark.parametrize("error", [RuntimeError("MARKER"), None])
    def test_an_authorizer_that_fails_is_an_error_of_ours(self, error: Exception | None) -> None:
        def fail() -> None:
            if error:
                raise error

        answer = asking(closed(fail))("GET", "/things", authorization="x")

        assert said(answer) == (500, "INTERNAL_ERROR")
        assert "MARKER" not in answer["body"]


def closed(decide: Callable[[], AuthResponse | None]) -> http.Api:
    api = http.Api()
    api.guard = api.authorizer()(lambda request: decide())

    @api.route("/things")
    def list_things(request: Request) -> Response:
        return http.json_answer([])

    return api
