"""Rules for every route: headers, errors, methods and ids."""

from __future__ import annotations

import re

import msgspec
import pytest

import app
from chalicelib.http import schemas
from tests.builders import fields
from tests.integration.calls import RECORDER
from tests.integration.routes import ROUTES, UNKNOWN_ID, with_ids
from tests.integration.stage import OWNER, Stage, json_of

OF_ONE_ITEM = [route for route in ROUTES if route[1].startswith("/items/{item_id}")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_response_has_the_common_headers(api: Stage, method: str, path: str) -> None:
    response = api(method, with_ids(path), ROUTES[method, path])

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    exposed = response.headers["Access-Control-Expose-Headers"].split(",")
    assert set(exposed) == {"ETag", "Location", "Idempotency-Replayed", "X-Request-Id", "Retry-After"}
    assert response.headers["X-Request-Id"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert all(isinstance(value, str) for value in response.headers.values())


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_error_has_the_same_shape(api: Stage, method: str, path: str) -> None:
    response = api(method, with_ids(path), ROUTES[method, path])

    if response.status_code >= 400 and app.app.operations[method, path].page:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    elif response.status_code >= 400:
        refusal = msgspec.json.decode(response.body, type=schemas.Error)
        assert refusal.request_id == response.headers["X-Request-Id"]
        assert set(json_of(response)) <= {"error", "message", "requestId", "details"}
        assert response.headers["Content-Type"] == "application/json"


def test_request_id_is_that_of_api_gateway(api: Stage) -> None:
    event = api.event("GET", "/health")

    response = api.handle(event)

    assert response.headers["X-Request-Id"] == event["requestContext"]["requestId"]


def test_cors_allows_the_request_headers() -> None:
    cors = app.app.routes["/items"]["POST"].cors

    assert cors.allow_headers == (
        "Authorization,Content-Type,Idempotency-Key,If-Match,If-None-Match,X-Amz-Date,X-Amz-Security-Token,X-Api-Key"
    )


class TestAbout:
    def test_hello_greets_the_world(self, api: Stage) -> None:
        response = api("GET", "/hello")

        assert response.status_code == 200
        hello = json_of(response)
        assert hello["message"] == "Hello, World!"
        assert hello["requestId"] == response.headers["X-Request-Id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", hello["timestamp"])

    @pytest.mark.parametrize(
        ("query", "name"),
        [("name=Ann", "Ann"), ("name=J%C3%BCrgen+K", "Jürgen K")],
    )
    def test_hello_greets_the_name(self, api: Stage, query: str, name: str) -> None:
        assert json_of(api("GET", f"/hello?{query}"))["message"] == f"Hello, {name}!"

    def test_name_of_more_than_100_characters_is_rejected(self, api: Stage) -> None:
        assert api("GET", f"/hello?name={'x' * 100}").status_code == 200
        response = api("GET", f"/hello?name={'x' * 101}")

        assert response.status_code == 400
        assert json_of(response)["details"] == [
            {"path": "$.name", "message": "name must be a string of at most 100 characters"}
        ]

    def test_health_returns_stage_and_version(self, api: Stage) -> None:
        assert json_of(api("GET", "/health")) == {"status": "ok", "stage": "local", "version": "0.1.0"}


class TestMethods:
    @pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
    def test_other_method_is_rejected_with_the_allowed_ones(self, api: Stage, path: str) -> None:
        response = api("TRACE", with_ids(path))

        assert response.status_code == 405
        assert json_of(response)["error"] == "METHOD_NOT_ALLOWED"
        allowed = set(app.app.routes[path])
        assert ("HEAD" in allowed) == ("GET" in allowed)
        assert set(response.headers["Allow"].split(", ")) == allowed
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert json_of(response)["requestId"] == response.headers["X-Request-Id"]

    @pytest.mark.parametrize("path", sorted({path for method, path in ROUTES if method == "GET"}))
    def test_head_calls_aws_as_get_does(self, api: Stage, path: str) -> None:
        path = with_ids(
            path, json_of(api("POST", "/imports", {"items": [{}]}))["id"] if "import" in path else api.item()["id"]
        )

        def calls(method: str) -> list[tuple[str, str]]:
            before = len(RECORDER.calls)
            assert api(method, path).status_code in (200, 404)
            return [(call.service, call.operation) for call in RECORDER.calls[before:]]

        calls("GET")  # The first one of a catalogue makes it.
        assert calls("HEAD") == calls("GET")
        assert calls("GET") or not path.startswith(("/items", "/imports"))


class TestIds:
    @pytest.mark.parametrize(
        "id_", [UNKNOWN_ID, "1", "%2e%2e", "%00", UNKNOWN_ID.upper(), "a" * 5_000, "ITEM%23", "ü", "*"]
    )
    def test_unknown_item_is_not_found_by_any_route(self, api: Stage, id_: str) -> None:
        for method, path in OF_ONE_ITEM:
            response = api(method, with_ids(path, id_), ROUTES[method, path])

            assert (response.status_code, json_of(response)["error"]) == (404, "ITEM_NOT_FOUND"), f"{method} {path}"

    @pytest.mark.parametrize("id_", [UNKNOWN_ID, "x", "a" * 5_000])
    def test_unknown_import_is_not_found(self, api: Stage, id_: str) -> None:
        response = api("GET", f"/imports/{id_}")

        assert response.status_code == 404
        assert json_of(response)["error"] == "IMPORT_NOT_FOUND"

    def test_id_in_upper_case_names_the_same_item(self, api: Stage) -> None:
        item = api.item(title="Vase")
        path = f"/items/{item['id'].upper()}"

        assert json_of(api("GET", path)) == item
        assert json_of(api("PUT", path, fields(title="Lamp")))["id"] == item["id"]
        assert json_of(api("PATCH", path, {"title": "Cup"}))["id"] == item["id"]
        key = json_of(api("POST", f"{path}/image", {"contentType": "image/jpeg"}))["upload"]["fields"]["key"]
        assert key.startswith(f"uploads/items/{OWNER}/{item['id']}/")
        assert (
            json_of(api("GET", f"{path}/image"))["message"]
            == f"Item {item['id']} has no picture that is ready, or no thumbnail of this size."
        )
        assert json_of(api("DELETE", f"{path}/image"))["id"] == item["id"]
        assert json_of(api("DELETE", path))["id"] == item["id"]
        assert json_of(api("GET", path))["message"] == f"There is no item {item['id']}."

    def test_id_in_upper_case_names_the_same_import(self, api: Stage) -> None:
        started = json_of(api("POST", "/imports", {"items": [fields()]}))

        assert json_of(api("GET", f"/imports/{started['id'].upper()}"))["id"] == started["id"]

    def test_escaped_id_is_not_found(self, api: Stage) -> None:
        item = api.item(title="Vase")

        escaped = item["id"].replace("0", "%30")

        assert api("GET", f"/items/{escaped}").status_code == 404


def test_location_includes_the_stage_of_api_gateway(api: Stage) -> None:
    response = api.handle(api.event("POST", "/items", fields()))

    assert response.headers["Location"] == f"/api/items/{json_of(response)['id']}"
