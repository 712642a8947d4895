"""Bodies, headers and owners of requests."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest

import app
from tests.builders import as_json, fields
from tests.integration.routes import ROUTES, with_ids
from tests.integration.stage import Stage, json_of

WITH_BODY = [route for route, body in ROUTES.items() if body is not None]


class TestBodies:
    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
    )
    def test_other_content_type_is_rejected_with_the_accepted_ones(
        self, api: Stage, method: str, path: str, content_type: str
    ) -> None:
        path = with_ids(path, api.item()["id"])

        response = api(method, path, b"{}", content_type=content_type)

        assert response.status_code == 415
        assert json_of(response)["error"] == "UNSUPPORTED_MEDIA_TYPE"
        assert "application/json" in json_of(response)["message"]

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
    def test_spellings_of_the_content_type_are_accepted(
        self, api: Stage, method: str, path: str, content_type: str
    ) -> None:
        path, body = with_ids(path, api.id_for(path)), ROUTES[method, path]

        assert api(method, path, body, content_type=content_type).status_code < 300

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    def test_body_without_a_content_type_is_json(self, api: Stage, method: str, path: str) -> None:
        event = api.event(method, with_ids(path, api.id_for(path)), ROUTES[method, path])
        del event["headers"]["content-type"]

        assert api.handle(event).status_code < 300

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"title=Vase", b"[" * 100_000])
    def test_body_that_is_no_json_is_rejected(self, api: Stage, method: str, path: str, body: bytes) -> None:
        response = api(method, with_ids(path, api.item()["id"]), body)

        assert response.status_code == 400
        assert json_of(response)["error"] in ("INVALID_JSON", "INVALID_REQUEST")
        if path != "/imports":
            assert json_of(response)["error"] == "INVALID_JSON"

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize("body", [b"[]", b"7", b'"a"', b"null"])
    def test_body_that_is_no_object_is_rejected(self, api: Stage, method: str, path: str, body: bytes) -> None:
        response = api(method, with_ids(path, api.item()["id"]), body)

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
        assert json_of(response)["details"][0]["path"] == "$"

    def test_body_may_be_base64(self, api: Stage) -> None:
        event = api.event("POST", "/items", base64.b64encode(as_json('"n": 7'))) | {"isBase64Encoded": True}

        response = api.handle(event)

        assert (response.status_code, json_of(response)["n"]) == (201, 7)

    def test_body_decompressed_by_api_gateway_is_accepted(self, api: Stage) -> None:
        # The emulator does not decompress. It is not documented whether AWS keeps the header.
        event = api.event("POST", "/items", as_json('"n": 7'), content_encoding="gzip")

        assert api.handle(event).status_code == 201

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_compressed_body_is_rejected(self, api: Stage, coding: str) -> None:
        event = api.event("POST", "/items", b"{}", content_encoding=coding)

        response = api.handle(event | {"body": "\x1f\ufffd\b"})

        assert (response.status_code, json_of(response)["error"]) == (415, "UNSUPPORTED_ENCODING")

    @pytest.mark.parametrize(
        "lines", [{"Idempotency-Key": ["a", "b"]}, {"Idempotency-Key": ["a"], "idempotency-key": ["b"]}]
    )
    def test_two_idempotency_keys_are_rejected(self, api: Stage, lines: dict[str, list[str]]) -> None:
        # The emulator joins the lines of a header. AWS lists them, with the last one in "headers".
        event = api.event("POST", "/items", as_json(), idempotency_key="b")

        response = api.handle(event | {"multiValueHeaders": {"content-type": ["application/json"], **lines}})

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")

    @pytest.mark.parametrize("body", [b"eyJ0", b"\xc3\xbc"])
    def test_invalid_base64_is_rejected(self, api: Stage, body: bytes) -> None:
        event = api.event("POST", "/items", body) | {"isBase64Encoded": True}
        event["body"] = event["body"][:-1] if body == b"eyJ0" else event["body"]

        response = api.handle(event)

        assert response.status_code == 400
        assert "base64" in json_of(response)["message"]

    def test_error_names_each_problem_and_its_path(self, api: Stage) -> None:
        response = api("POST", "/items", as_json('"a": {"b": [1, 1e999]}, "": 0'))

        assert response.status_code == 400
        assert json_of(response)["details"] == [
            {"path": "$", "message": "The item has a field with an empty name"},
            {"path": "$.a.b[1]", "message": "a.b[1] has more than 38 digits, or is beyond 1E-130 to 1E+126"},
        ]

    def test_error_with_many_problems_fits_into_a_response(self, api: Stage) -> None:
        response = api("POST", "/items", b'{"a": [' + b",".join([b"1e999"] * 50_000) + b"]}")

        assert response.status_code == 400
        assert len(response.body) < 6 * 1024 * 1024

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("name", ["image", "title"])
    @pytest.mark.parametrize("depth", [100, 600, 800, 950])
    def test_too_deeply_nested_body_is_rejected(self, api: Stage, method: str, name: str, depth: int) -> None:
        body = f'{{"{name}":{{"thumbnails":' + '{"thumbnails":' * depth + "1" + "}" * depth + "}}"

        response = api(method, f"/items/{api.item()['id']}", body.encode())

        assert response.status_code == 400

    def test_error_of_a_too_large_item_has_both_sizes(self, api: Stage) -> None:
        response = api("POST", "/items", {"a": "x" * 358_400})

        assert (response.status_code, json_of(response)["error"]) == (413, "ITEM_TOO_LARGE")
        assert "358400" in json_of(response)["message"]
        assert "358408" in json_of(response)["message"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_idempotency_key_is_evaluated_or_rejected(api: Stage, method: str, path: str) -> None:
    item = api.item()["id"]
    before = api.records("ITEM#")

    response = api(
        method,
        with_ids(path, item),
        ROUTES[method, path],
        idempotency_key="k",
    )

    if app.app.operations[method, path].idempotency_key:
        assert response.status_code == app.app.operations[method, path].status_code
    elif method == "GET":
        assert response.status_code in (200, 404)
    else:
        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
        assert "does not evaluate Idempotency-Key" in json_of(response)["message"]
        assert api.records("ITEM#") == before


class TestOwners:
    def test_requests_without_sign_in_are_unauthorized(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc")

        for (method, path), body in ROUTES.items():
            response = api(method, with_ids(path), body)
            if not app.app.operations[method, path].public:
                assert (response.status_code, json_of(response)["error"]) == (401, "UNAUTHORIZED")
            else:
                assert response.status_code in (200, 404)

    def test_expired_token_is_unauthorized_despite_the_cache(self, api: Stage, configured: Callable[..., None]) -> None:
        # API Gateway caches the result of the authorizer for five minutes.
        configured(AUTH_MODE="oidc")
        now = int(time.time())

        assert api.signed_in("ann", until=str(now + 60))("GET", "/items").status_code == 200
        late = api.signed_in("ann", until=str(now))("GET", "/items")
        assert (late.status_code, json_of(late)["error"]) == (401, "UNAUTHORIZED")
        assert late.headers["WWW-Authenticate"] == "Bearer"

    def test_open_stage_has_one_owner(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="none")

        item = json_of(api.signed_in("ann")("POST", "/items", fields()))

        assert api("GET", f"/items/{item['id']}").status_code == 200
