"""What holds of every route: how it is asked, how it answers, and how it says no."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable

import msgspec
import pytest

import app
from chalicelib.http import schemas
from tests.builders import as_json, fields
from tests.integration.calls import RECORDER
from tests.integration.routes import ROUTES
from tests.integration.stage import OWNER, Stage, json_of

NOWHERE = "019ca7b4-e400-7abc-8def-0123456789ab"

KEY = {"idempotency_key": "k"}
OF_ONE_ITEM = [route for route in ROUTES if "{item_id}" in route[1]]
WITH_BODY = [route for route, body in ROUTES.items() if body is not None]


def at(path: str, id_: str = NOWHERE) -> str:
    return re.sub(r"{\w+}", lambda _: id_, path)


def test_every_route_of_the_app_is_tried_here() -> None:
    heads = {("HEAD", path) for method, path in ROUTES if method == "GET"}
    assert set(ROUTES) | heads == {(method, path) for path, methods in app.app.routes.items() for method in methods}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_answer_may_be_read_by_a_web_page_carries_its_id_and_is_not_sniffed(
    api: Stage, method: str, path: str
) -> None:
    answer = api(method, at(path), ROUTES[method, path])

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"].split(",")
    assert set(exposed) == {"ETag", "Location", "Idempotency-Replayed", "X-Request-Id", "Retry-After"}
    assert answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert all(isinstance(value, str) for value in answer.headers.values())


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_refusal_has_the_one_shape(api: Stage, method: str, path: str) -> None:
    answer = api(method, at(path), ROUTES[method, path])

    if answer.status_code >= 400:
        refusal = msgspec.json.decode(answer.body, type=schemas.Error)
        assert refusal.request_id == answer.headers["X-Request-Id"]
        assert set(json_of(answer)) <= {"error", "message", "requestId", "details"}
        assert answer.headers["Content-Type"] == "application/json"


def test_a_request_is_known_by_api_gateways_id(api: Stage) -> None:
    event = api.event("GET", "/health")

    answer = api.handle(event)

    assert answer.headers["X-Request-Id"] == event["requestContext"]["requestId"]


def test_a_web_page_is_told_which_headers_it_may_send() -> None:
    cors = app.app.routes["/items"]["POST"].cors

    assert cors.allow_headers == (
        "Authorization,Content-Type,Idempotency-Key,If-Match,If-None-Match,X-Amz-Date,X-Amz-Security-Token,X-Api-Key"
    )


class TestAbout:
    def test_hello_greets_the_world(self, api: Stage) -> None:
        answer = api("GET", "/hello")

        assert answer.status_code == 200
        hello = json_of(answer)
        assert hello["message"] == "Hello, World!"
        assert hello["requestId"] == answer.headers["X-Request-Id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", hello["timestamp"])

    @pytest.mark.parametrize(
        ("query", "name"),
        [("name=Ann", "Ann"), ("name=J%C3%BCrgen+K", "Jürgen K")],
    )
    def test_hello_greets_who_is_named(self, api: Stage, query: str, name: str) -> None:
        assert json_of(api("GET", f"/hello?{query}"))["message"] == f"Hello, {name}!"

    def test_hello_greets_nobody_of_more_than_100_letters(self, api: Stage) -> None:
        assert api("GET", f"/hello?name={'x' * 100}").status_code == 200
        answer = api("GET", f"/hello?name={'x' * 101}")

        assert answer.status_code == 400
        assert json_of(answer)["details"] == [
            {"path": "$.name", "message": "name must be a string of at most 100 characters"}
        ]

    def test_health_says_which_stage_and_version_answers(self, api: Stage) -> None:
        assert json_of(api("GET", "/health")) == {"status": "ok", "stage": "local", "version": "0.1.0"}

    @pytest.mark.parametrize("path", ["/", "/docs"])
    def test_pages_run_nothing_from_elsewhere(self, api: Stage, path: str) -> None:
        answer = api("GET", path)

        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(rb"<script(?![^>]*\bsrc=)|\bon\w+=|<style|\bstyle=|(src|href)=[\"']https?:", answer.body)

    @pytest.mark.parametrize("path", ["/", "/docs"])
    def test_every_file_that_a_page_names_is_there(self, api: Stage, path: str) -> None:
        page = api("GET", path).body.decode()

        for name in re.findall(r"(?:src|href)=[\"']\.?/?(web/[^\"']+)", page):
            assert api("GET", f"/{name}").status_code == 200

    @pytest.mark.parametrize("name", ["nope.js", "..", "app.py", "%2e%2e%2fapp.py", "index", ""])
    def test_no_other_file_is_handed_out(self, api: Stage, name: str) -> None:
        assert api("GET", f"/web/{name}").status_code in (403, 404)

    def test_files_say_what_they_are(self, api: Stage) -> None:
        answer = api("GET", "/web/api.js")

        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"

    def test_the_document_is_served(self, api: Stage) -> None:
        document = json_of(api("GET", "/openapi.json"))

        assert document["openapi"] == "3.1.0"
        assert document["paths"].keys() == app.app.routes.keys()


class TestMethods:
    @pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
    def test_another_method_is_refused_with_those_that_there_are(self, api: Stage, path: str) -> None:
        answer = api("TRACE", at(path))

        assert answer.status_code == 405
        assert json_of(answer)["error"] == "METHOD_NOT_ALLOWED"
        allowed = set(app.app.routes[path])
        assert ("HEAD" in allowed) == ("GET" in allowed)
        assert set(answer.headers["Allow"].split(", ")) == allowed
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert json_of(answer)["requestId"] == answer.headers["X-Request-Id"]

    @pytest.mark.parametrize("path", sorted({path for method, path in ROUTES if method == "GET"}))
    def test_head_calls_aws_as_get_does(self, api: Stage, path: str) -> None:
        path = at(
            path, json_of(api("POST", "/imports", {"items": [{}]}))["id"] if "import" in path else api.item()["id"]
        )

        def calls(method: str) -> list[tuple[str, str]]:
            before = len(RECORDER.calls)
            assert api(method, path).status_code in (200, 404)
            return [(call.service, call.operation) for call in RECORDER.calls[before:]]

        assert calls("HEAD") == calls("GET")
        assert bool(calls("GET")) == path.startswith(("/items", "/imports"))


class TestIds:
    @pytest.mark.parametrize("id_", [NOWHERE, "1", "%2e%2e", "%00", NOWHERE.upper(), "a" * 5_000, "ITEM%23", "ü", "*"])
    def test_an_id_that_nothing_has_is_not_found_by_any_route(self, api: Stage, id_: str) -> None:
        for method, path in OF_ONE_ITEM:
            answer = api(method, at(path, id_), ROUTES[method, path])

            assert (answer.status_code, json_of(answer)["error"]) == (404, "ITEM_NOT_FOUND"), f"{method} {path}"

    @pytest.mark.parametrize("id_", [NOWHERE, "x", "a" * 5_000])
    def test_nor_is_an_import(self, api: Stage, id_: str) -> None:
        answer = api("GET", f"/imports/{id_}")

        assert answer.status_code == 404
        assert json_of(answer)["error"] == "IMPORT_NOT_FOUND"

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

    def test_an_id_is_taken_letter_by_letter(self, api: Stage) -> None:
        item = api.item(title="Vase")

        escaped = item["id"].replace("0", "%30")

        assert api("GET", f"/items/{escaped}").status_code == 404


class TestBodies:
    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
    )
    def test_another_content_type_is_refused_with_those_that_are_read(
        self, api: Stage, method: str, path: str, content_type: str
    ) -> None:
        path = at(path, api.item()["id"])

        answer = api(method, path, b"{}", content_type=content_type)

        assert answer.status_code == 415
        assert json_of(answer)["error"] == "UNSUPPORTED_MEDIA_TYPE"
        assert "application/json" in json_of(answer)["message"]

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
    def test_json_is_json_however_it_is_called(self, api: Stage, method: str, path: str, content_type: str) -> None:
        path, body = at(path, api.item()["id"]), ROUTES[method, path]

        assert api(method, path, body, content_type=content_type).status_code < 300

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    def test_a_body_without_a_content_type_is_read_as_json(self, api: Stage, method: str, path: str) -> None:
        event = api.event(method, at(path, api.item()["id"]), ROUTES[method, path])
        del event["headers"]["content-type"]

        assert api.handle(event).status_code < 300

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"title=Vase", b"[" * 100_000])
    def test_a_body_that_is_no_json_is_refused(self, api: Stage, method: str, path: str, body: bytes) -> None:
        answer = api(method, at(path, api.item()["id"]), body)

        assert answer.status_code == 400
        assert json_of(answer)["error"] in ("INVALID_JSON", "INVALID_REQUEST")
        if path != "/imports":
            assert json_of(answer)["error"] == "INVALID_JSON"

    @pytest.mark.parametrize(("method", "path"), WITH_BODY)
    @pytest.mark.parametrize("body", [b"[]", b"7", b'"a"', b"null"])
    def test_a_body_that_is_no_object_is_refused(self, api: Stage, method: str, path: str, body: bytes) -> None:
        answer = api(method, at(path, api.item()["id"]), body)

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert json_of(answer)["details"][0]["path"] == "$"

    def test_a_body_may_come_in_base64(self, api: Stage) -> None:
        event = api.event("POST", "/items", base64.b64encode(as_json('"n": 7'))) | {"isBase64Encoded": True}

        answer = api.handle(event)

        assert (answer.status_code, json_of(answer)["n"]) == (201, 7)

    def test_body_that_api_gateway_has_inflated_is_read(self, api: Stage) -> None:
        # The emulator's does not inflate; whether AWS's leaves the header is not documented.
        event = api.event("POST", "/items", as_json('"n": 7'), content_encoding="gzip")

        assert api.handle(event).status_code == 201

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_body_that_nothing_has_inflated_is_refused(self, api: Stage, coding: str) -> None:
        event = api.event("POST", "/items", b"{}", content_encoding=coding)

        answer = api.handle(event | {"body": "\x1f\ufffd\b"})

        assert (answer.status_code, json_of(answer)["error"]) == (415, "UNSUPPORTED_ENCODING")

    @pytest.mark.parametrize(
        "lines", [{"Idempotency-Key": ["a", "b"]}, {"Idempotency-Key": ["a"], "idempotency-key": ["b"]}]
    )
    def test_two_keys_are_refused_as_api_gateway_passes_them_on(self, api: Stage, lines: dict[str, list[str]]) -> None:
        # The emulator joins the lines of a header; AWS lists them, and has the last one in "headers".
        event = api.event("POST", "/items", as_json(), idempotency_key="b")

        answer = api.handle(event | {"multiValueHeaders": {"content-type": ["application/json"], **lines}})

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")

    @pytest.mark.parametrize("body", [b"eyJ0", b"\xc3\xbc"])
    def test_a_body_that_claims_to_be_base64_and_is_not_is_refused(self, api: Stage, body: bytes) -> None:
        event = api.event("POST", "/items", body) | {"isBase64Encoded": True}
        event["body"] = event["body"][:-1] if body == b"eyJ0" else event["body"]

        answer = api.handle(event)

        assert answer.status_code == 400
        assert "base64" in json_of(answer)["message"]

    def test_a_body_is_refused_with_what_is_wrong_where(self, api: Stage) -> None:
        answer = api("POST", "/items", as_json('"a": {"b": [1, 1e999]}, "": 0'))

        assert answer.status_code == 400
        assert json_of(answer)["details"] == [
            {"path": "$", "message": "The item has a field with an empty name"},
            {"path": "$.a.b[1]", "message": "a.b[1] has more than 38 digits, or is beyond 1E-130 to 1E+126"},
        ]

    def test_a_refusal_fits_through_lambda_however_much_is_wrong(self, api: Stage) -> None:
        answer = api("POST", "/items", b'{"a": [' + b",".join([b"1e999"] * 50_000) + b"]}")

        assert answer.status_code == 400
        assert len(answer.body) < 6 * 1024 * 1024

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("name", ["image", "title"])
    @pytest.mark.parametrize("depth", [100, 600, 800, 950])
    def test_body_that_nests_too_deep_is_refused_wherever_it_does(
        self, api: Stage, method: str, name: str, depth: int
    ) -> None:
        body = f'{{"{name}":{{"thumbnails":' + '{"thumbnails":' * depth + "1" + "}" * depth + "}}"

        answer = api(method, f"/items/{api.item()['id']}", body.encode())

        assert answer.status_code == 400

    def test_an_item_that_is_too_large_is_refused_with_both_sizes(self, api: Stage) -> None:
        answer = api("POST", "/items", {"a": "x" * 358_400})

        assert (answer.status_code, json_of(answer)["error"]) == (413, "ITEM_TOO_LARGE")
        assert "358400" in json_of(answer)["message"]
        assert "358408" in json_of(answer)["message"]


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("limit=0", "$.limit"),
            ("limit=101", "$.limit"),
            ("limit=-1", "$.limit"),
            ("limit=ten", "$.limit"),
            ("limit=1.5", "$.limit"),
            ("limit=", "$.limit"),
            ("order=random", "$.order"),
            ("order=DESC", "$.order"),
            ("createdAfter=yesterday", "$.createdAfter"),
            ("createdAfter=2026-01-01", "$.createdAfter"),
            ("createdBefore=2026-01-01T00:00:00", "$.createdBefore"),
            ("createdBefore=2026-13-01T00:00:00Z", "$.createdBefore"),
        ],
    )
    def test_a_parameter_that_cannot_be_meant_is_refused_by_name(self, api: Stage, query: str, path: str) -> None:
        answer = api("GET", f"/items?{query}")

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert [detail["path"] for detail in json_of(answer)["details"]] == [path]

    @pytest.mark.parametrize(
        "query",
        [
            "createdAfter=0001-01-01T00:00:00%2B23:00",
            "createdAfter=1960-01-01T00:00:00Z&createdBefore=1950-01-01T00:00:00Z",
            "createdBefore=1970-01-01T00:00:00Z",
            "createdAfter=9999-12-31T23:59:59.999-23:00",
            "createdBefore=9999-12-31T23:59:59.999-23:00",
        ],
    )
    def test_a_list_may_be_asked_for_any_time_there_is(self, api: Stage, query: str) -> None:
        assert api("GET", f"/items?{query}").status_code == 200

    @pytest.mark.parametrize("cursor", ["", "x", "a" * 40, "%C3%BC", "null0", "a" * 5_000])
    def test_a_cursor_that_was_not_given_out_is_refused(self, api: Stage, cursor: str) -> None:
        answer = api("GET", f"/items?cursor={cursor}")

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_CURSOR")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_idempotency_key_is_evaluated_or_refused(api: Stage, method: str, path: str) -> None:
    item = api.item()["id"]
    before = api.records("ITEM#")

    answer = api(method, path.format(item_id=item, import_id=item, name="none.js"), ROUTES[method, path], **KEY)

    if app.app.operations[method, path].idempotency_key:
        assert answer.status_code in (201, 202)
    elif method == "GET":
        assert answer.status_code in (200, 404)
    else:
        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert "does not evaluate Idempotency-Key" in json_of(answer)["message"]
        assert api.records("ITEM#") == before


class TestOwners:
    def test_nobody_comes_in_without_signing_in(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc")

        for (method, path), body in ROUTES.items():
            answer = api(method, at(path), body)
            if path.startswith(("/items", "/imports")):
                assert (answer.status_code, json_of(answer)["error"]) == (401, "UNAUTHORIZED")
            else:
                assert answer.status_code in (200, 404)

    def test_nobody_stays_in_longer_than_their_token_says(self, api: Stage, configured: Callable[..., None]) -> None:
        # API Gateway remembers for five minutes whom the authorizer let in.
        configured(AUTH_MODE="oidc")
        now = int(time.time())

        assert api.signed_in("ann", until=str(now + 60))("GET", "/items").status_code == 200
        late = api.signed_in("ann", until=str(now))("GET", "/items")
        assert (late.status_code, json_of(late)["error"]) == (401, "UNAUTHORIZED")
        assert late.headers["WWW-Authenticate"] == "Bearer"

    def test_a_stage_that_is_open_has_one_owner(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="none")

        item = json_of(api.signed_in("ann")("POST", "/items", fields()))

        assert api("GET", f"/items/{item['id']}").status_code == 200

    def test_where_a_new_item_is_stands_with_api_gateways_stage(self, api: Stage) -> None:
        answer = api.handle(api.event("POST", "/items", fields()))

        assert answer.headers["Location"] == f"/api/items/{json_of(answer)['id']}"
