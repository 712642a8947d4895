"""Which web pages may call the API, send what, and read what: by setting, on every answer and every preflight."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from chalice.config import Config
from chalice.deploy.validate import validate_routes
from chalice.local import LocalGateway

from chalicelib import errors
from chalicelib.http import api, responses

if TYPE_CHECKING:
    from chalice.app import Request, Response

SHOP, ADMIN, OTHER = "https://shop.example", "https://admin.example", "https://evil.example"

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(configured: Callable[..., None]) -> Callable[..., Ask]:
    """A small API that stands under these settings, and how it answers a page of an origin."""

    def build(**settings: str) -> Ask:
        configured(**settings)
        app = api.Api()

        @app.route("/things", methods=["GET"])
        def list_things(request: Request) -> Response:
            return responses.json_response([])

        @app.route("/things", methods=["POST"])
        def create_thing(request: Request) -> Response:
            raise errors.BusyError

        @app.route("/things/{id_}")
        def get_thing(request: Request, id_: str) -> Response:
            raise errors.NotFoundError

        validate_routes(app.routes)
        gateway = LocalGateway(app, Config.create())

        def ask(method: str, path: str, origin: str | None = None) -> dict[str, Any]:
            headers = {} if origin is None else {"origin": origin}
            return gateway.handle_request(method, path, headers, b"")

        return ask

    return build


EVERYTHING = [
    ("GET", "/things"),
    ("POST", "/things"),
    ("GET", "/things/1"),
    ("PATCH", "/things"),
    ("OPTIONS", "/things"),
]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
@pytest.mark.parametrize(("setting", "said"), [({}, "*"), ({"CORS_ORIGINS": SHOP}, SHOP)])
def test_one_origin_or_any_is_said_in_every_answer(
    asked: Callable[..., Ask], setting: dict[str, str], said: str, method: str, path: str
) -> None:
    answer = asked(**setting)(method, path, OTHER)

    assert answer["headers"]["Access-Control-Allow-Origin"] == said


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
class TestSeveralOrigins:
    @pytest.fixture
    def ask(self, asked: Callable[..., Ask]) -> Ask:
        return asked(CORS_ORIGINS=f"{SHOP},{ADMIN}")

    @pytest.mark.parametrize("origin", [SHOP, ADMIN])
    def test_each_is_answered_by_its_name(self, ask: Ask, origin: str, method: str, path: str) -> None:
        answer = ask(method, path, origin)

        assert answer["headers"]["Access-Control-Allow-Origin"] == origin
        assert answer["headers"]["Vary"] == "Origin"

    @pytest.mark.parametrize("origin", [OTHER, "null", f"{SHOP}.evil.example", None])
    def test_any_other_is_let_read_nothing(self, ask: Ask, origin: str | None, method: str, path: str) -> None:
        answer = ask(method, path, origin)

        assert "Access-Control-Allow-Origin" not in answer["headers"]
        # Or a cache would answer a page that may with what it kept for one that may not.
        assert answer["headers"]["Vary"] == "Origin"


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_stage_local_lets_no_other_page_read_anything(asked: Callable[..., Ask], method: str, path: str) -> None:
    answer = asked(CORS_ORIGINS="", STAGE="local")(method, path, OTHER)

    assert "Access-Control-Allow-Origin" not in answer["headers"]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_a_deployed_stage_lets_any_page_in_unless_it_says_so(asked: Callable[..., Ask], method: str, path: str) -> None:
    answer = asked(CORS_ORIGINS="", STAGE="prod", AUTH_MODE="none")(method, path, OTHER)

    assert answer["headers"]["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origins", ["*", SHOP, f"{SHOP},{ADMIN}"])
class TestPreflights:
    def test_tell_which_methods_there_are(self, asked: Callable[..., Ask], origins: str) -> None:
        answer = asked(CORS_ORIGINS=origins)("OPTIONS", "/things", SHOP)

        assert answer["statusCode"] in (200, 204)
        assert set(answer["headers"]["Access-Control-Allow-Methods"].split(",")) == {"GET", "HEAD", "POST", "OPTIONS"}
        assert answer["headers"]["Access-Control-Max-Age"] == "3600"

    def test_let_send_what_the_api_understands_and_the_setting_adds(
        self, asked: Callable[..., Ask], origins: str
    ) -> None:
        answer = asked(CORS_ORIGINS=origins, CORS_ALLOW_HEADERS="X-Trace, X-Two")("OPTIONS", "/things/1", SHOP)

        allowed = set(answer["headers"]["Access-Control-Allow-Headers"].split(","))
        assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"} <= allowed
        assert {"X-Trace", "X-Two"} <= allowed


@pytest.mark.parametrize("origins", ["*", SHOP, f"{SHOP},{ADMIN}"])
def test_pages_may_read_what_the_api_says_in_headers_and_the_setting_adds(
    asked: Callable[..., Ask], origins: str
) -> None:
    answer = asked(CORS_ORIGINS=origins, CORS_EXPOSE_HEADERS="X-Took")("GET", "/things", SHOP)

    exposed = set(answer["headers"]["Access-Control-Expose-Headers"].split(","))
    assert exposed == {"ETag", "Location", "Idempotency-Replayed", "X-Request-Id", "Retry-After", "X-Took"}
