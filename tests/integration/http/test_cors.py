"""CORS headers of responses and preflights, by setting."""

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
def ask_with(configured: Callable[..., None]) -> Callable[..., Ask]:
    """Create a small API with these settings, and return a function that sends it requests from an origin."""

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
@pytest.mark.parametrize(("setting", "origin"), [({}, "*"), ({"CORS_ORIGINS": SHOP}, SHOP)])
def test_every_response_names_the_only_origin(
    ask_with: Callable[..., Ask], setting: dict[str, str], origin: str, method: str, path: str
) -> None:
    response = ask_with(**setting)(method, path, OTHER)

    assert response["headers"]["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
class TestSeveralOrigins:
    @pytest.fixture
    def ask(self, ask_with: Callable[..., Ask]) -> Ask:
        return ask_with(CORS_ORIGINS=f"{SHOP},{ADMIN}")

    @pytest.mark.parametrize("origin", [SHOP, ADMIN])
    def test_allowed_origin_is_named(self, ask: Ask, origin: str, method: str, path: str) -> None:
        response = ask(method, path, origin)

        assert response["headers"]["Access-Control-Allow-Origin"] == origin
        assert response["headers"]["Vary"] == "Origin"

    @pytest.mark.parametrize("origin", [OTHER, "null", f"{SHOP}.evil.example", None])
    def test_other_origin_may_read_nothing(self, ask: Ask, origin: str | None, method: str, path: str) -> None:
        response = ask(method, path, origin)

        assert "Access-Control-Allow-Origin" not in response["headers"]
        # Otherwise a cache could send an allowed page the response for another one.
        assert response["headers"]["Vary"] == "Origin"


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_stage_local_allows_no_other_origin(ask_with: Callable[..., Ask], method: str, path: str) -> None:
    response = ask_with(CORS_ORIGINS="", STAGE="local")(method, path, OTHER)

    assert "Access-Control-Allow-Origin" not in response["headers"]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_deployed_stage_allows_any_origin_by_default(ask_with: Callable[..., Ask], method: str, path: str) -> None:
    response = ask_with(CORS_ORIGINS="", STAGE="prod", AUTH_MODE="none")(method, path, OTHER)

    assert response["headers"]["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origins", ["*", SHOP, f"{SHOP},{ADMIN}"])
class TestPreflights:
    def test_preflight_lists_the_methods(self, ask_with: Callable[..., Ask], origins: str) -> None:
        response = ask_with(CORS_ORIGINS=origins)("OPTIONS", "/things", SHOP)

        assert response["statusCode"] in (200, 204)
        assert set(response["headers"]["Access-Control-Allow-Methods"].split(",")) == {"GET", "HEAD", "POST", "OPTIONS"}
        assert response["headers"]["Access-Control-Max-Age"] == "3600"

    def test_preflight_allows_headers_of_the_api_and_setting(self, ask_with: Callable[..., Ask], origins: str) -> None:
        response = ask_with(CORS_ORIGINS=origins, CORS_ALLOW_HEADERS="X-Trace, X-Two")("OPTIONS", "/things/1", SHOP)

        allowed = set(response["headers"]["Access-Control-Allow-Headers"].split(","))
        assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"} <= allowed
        assert {"X-Trace", "X-Two"} <= allowed


@pytest.mark.parametrize("origins", ["*", SHOP, f"{SHOP},{ADMIN}"])
def test_response_exposes_headers_of_the_api_and_setting(ask_with: Callable[..., Ask], origins: str) -> None:
    response = ask_with(CORS_ORIGINS=origins, CORS_EXPOSE_HEADERS="X-Took")("GET", "/things", SHOP)

    exposed = set(response["headers"]["Access-Control-Expose-Headers"].split(","))
    assert exposed == {"ETag", "Location", "Idempotency-Replayed", "X-Request-Id", "Retry-After", "X-Took"}
