"""Every response is one that the OpenAPI document describes, and every response that it describes is returned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chalice.test import HTTPResponse
from jsonschema import Draft202012Validator

from chalicelib import aws
from chalicelib.catalogue import idempotency, import_parsing, validation
from chalicelib.http import query_parameters, requests, schemas, static_files
from chalicelib.values import exact_json
from tests.builders import as_json, fields, jpeg
from tests.integration.routes import DOCUMENT
from tests.integration.stage import Stage, fails, json_of

ROUTES = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]
NOWHERE = "019ca7b4-e400-7abc-8def-0123456789ab"

# API Gateway returns these before the app is called.
FROM_API_GATEWAY = {("429", "THROTTLED"), ("413", "REQUEST_TOO_LARGE")}
# Headers of HTTP and CORS that any response may have.
ALWAYS_ALLOWED = {
    "Content-Type",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
}

Responses = set[tuple[str, str | None]]
Ask = Callable[..., HTTPResponse]


def operation_of(route: str) -> dict[str, Any]:
    method, _, path = route.partition(" ")
    operation: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return operation


def described(route: str) -> Responses:
    """Return the status and the error code, or None, of each response that the document describes."""
    return {
        (status, code if status >= "400" else None)
        for status, answer in operation_of(route)["responses"].items()
        for code in answer["description"].split(", ")
    }


def check_response(route: str, answer: HTTPResponse) -> tuple[str, str | None]:
    """Compare a response with the document. Return its status and its error code, or None."""
    status = str(answer.status_code)
    responses = operation_of(route)["responses"]
    assert status in responses, f"{route} does not declare this response: {status} {answer.body!r}"
    documented = responses[status]
    declared = {name: resolved(header) for name, header in documented["headers"].items()}
    assert answer.headers.keys() - ALWAYS_ALLOWED <= declared.keys()
    for name, header in declared.items():
        assert name in answer.headers or not header.get("required", False), name
        if name in answer.headers:
            check(header["schema"], _header_value(answer.headers[name], header["schema"]))
    if "content" not in documented:
        assert answer.body == b""
        return status, None
    content = documented["content"][answer.headers["Content-Type"].partition(";")[0]]
    if "json" not in answer.headers["Content-Type"]:  # A page in place of an error does not name its code.
        return status, documented["description"].split(", ")[0] if status >= "400" else None
    check(content["schema"], json.loads(answer.body))
    return status, json_of(answer)["error"] if status >= "400" else None


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    *_, kind, name = node["$ref"].split("/")
    component: dict[str, Any] = DOCUMENT["components"][kind][name]
    return component


def check(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def _header_value(header: str, schema: dict[str, Any]) -> str | int:
    return int(header) if schema["type"] == "integer" else header


# --------------------------------------------------------------------------- requests that produce each response


def of_pages(path: str) -> Callable[[Stage], Iterator[HTTPResponse]]:
    def ask(api: Stage) -> Iterator[HTTPResponse]:
        first = api("GET", path)
        yield first
        yield api("GET", path, if_none_match=first.headers["ETag"])
        yield api("GET", path, if_none_match="1")

    return ask


def of_files(api: Stage) -> Iterator[HTTPResponse]:
    for name in ("console.css", "docs.js", "docs.html"):
        yield from of_pages(f"/web/{name}")(api)
    yield api("GET", "/web/nothing.js")


def of_creation(api: Stage) -> Iterator[HTTPResponse]:
    for own in ({"title": "Vase", "marks": ["glass", 1, None, {"a": 0.5}]}, {"expiresAt": "2100-01-01T00:00:00Z"}):
        yield api("POST", "/items", fields(**own))
    for title in ("Vase", "Vase", "Bowl"):
        yield api("POST", "/items", fields(title=title), idempotency_key="one")
    yield api("POST", "/items", fields(), idempotency_key="x" * (idempotency.MAX_KEY_LENGTH + 1))
    yield from of_bad_fields(api, "POST", "/items")


def of_bad_fields(api: Stage, method: str, path: str) -> Iterator[HTTPResponse]:
    yield api(method, path, {"a": {"": 1}})
    yield api(method, path, b"[]")
    yield api(method, path, fields(id=1, version=2))
    yield api(method, path, fields(expiresAt="yesterday"))
    yield api(method, path, {"a": "x" * validation.MAX_ITEM_BYTES})
    yield from of_unreadable_bodies(api, method, path)


def of_unreadable_bodies(api: Stage, method: str, path: str) -> Iterator[HTTPResponse]:
    yield api(method, path, b"{")
    yield api(method, path, b"{}", content_type="text/plain")
    yield api(method, path, b"{}", content_encoding="br")
    yield api(method, f"{path}?page=2", b"{}")


def of_lists(api: Stage) -> Iterator[HTTPResponse]:
    yield api("GET", "/items")
    for item in (api.item(title="Vase"), api.item(title="Bowl")):
        yield api("GET", f"/items?limit=1&createdBefore={item['createdAt']}")
    yield api("GET", "/items?limit=0")
    yield api("GET", "/items?cursor=x")
    yield api("GET", "/items?page=2")
    yield api("GET", "/items?sort=undeclared")
    yield api("GET", "/items?limit=1", if_none_match="*")


def of_reading(api: Stage) -> Iterator[HTTPResponse]:
    """Read an item while its picture has each status."""
    item = api.item(title="Vase")
    for step in (
        lambda: None,
        lambda: api.ticket(item["id"]),
        lambda: api.upload(item["id"], jpeg()),
        api.work,
        lambda: api.picture(item["id"], b"no picture"),
    ):
        step()
        answer = api("GET", f"/items/{item['id']}")
        yield answer
        yield api("GET", f"/items/{item['id']}", if_none_match=answer.headers["ETag"])
    yield api("GET", f"/items/{NOWHERE}")
    yield api("GET", f"/items/{item['id']}", if_match='"99"')
    yield api("GET", f"/items/{item['id']}", if_match="99")
    yield api("GET", f"/items/{item['id']}?page=2")


def of_writing(method: str) -> Callable[[Stage], Iterator[HTTPResponse]]:
    def ask(api: Stage) -> Iterator[HTTPResponse]:
        path = f"/items/{api.item(title='Vase')['id']}"
        yield api(method, path, fields(title="Bowl"))
        yield api(method, path, fields(title="Cup"), if_match='"1"')
        yield api(method, f"/items/{NOWHERE}", fields())
        yield from of_bad_fields(api, method, path)

    return ask


def of_deletion(api: Stage) -> Iterator[HTTPResponse]:
    path = f"/items/{api.item(title='Vase')['id']}"
    yield api("DELETE", path, if_match='"2"')
    yield api("DELETE", path, if_match="2")
    yield api("DELETE", f"{path}?page=2")
    yield api("DELETE", path)
    yield api("DELETE", path)


def of_tickets(api: Stage) -> Iterator[HTTPResponse]:
    path = f"/items/{api.item()['id']}/image"
    yield api("POST", path, {"contentType": "image/png"})
    yield api("POST", path, {"contentType": "text/html"})
    yield api("POST", f"/items/{NOWHERE}/image", {"contentType": "image/png"})
    yield from of_unreadable_bodies(api, "POST", path)


def of_images(api: Stage) -> Iterator[HTTPResponse]:
    item = api.item()
    yield api("GET", f"/items/{item['id']}/image")
    api.picture(item["id"], jpeg())
    yield api("GET", f"/items/{item['id']}/image")
    yield api("GET", f"/items/{item['id']}/image?size=200")
    yield api("GET", f"/items/{item['id']}/image?size=large")
    yield api("GET", f"/items/{item['id']}/image?Size=200")
    yield api("GET", f"/items/{NOWHERE}/image")


def of_focus(api: Stage) -> Iterator[HTTPResponse]:
    item = api.item()
    path, focus = f"/items/{item['id']}/image", {"focus": {"x": 0.3, "y": 0.25}}
    yield api("PATCH", path, focus)
    api.picture(item["id"], jpeg())
    yield api("PATCH", path, focus)
    yield api("PATCH", path, {"focus": None}, if_match='"1"')
    yield api("PATCH", path, {"focus": {"x": 2}})
    yield api("PATCH", path, focus, content_type="text/plain")
    yield api("PATCH", f"{path}?page=2", focus)
    yield api("PATCH", f"/items/{NOWHERE}/image", focus)
    yield from of_unreadable_bodies(api, "PATCH", path)


def of_removed_images(api: Stage) -> Iterator[HTTPResponse]:
    item = api.item()
    api.picture(item["id"], jpeg())
    yield api("DELETE", f"/items/{item['id']}/image", if_match='"1"')
    yield api("DELETE", f"/items/{item['id']}/image", if_match="1")
    yield api("DELETE", f"/items/{item['id']}/image?page=2")
    yield api("DELETE", f"/items/{item['id']}/image")
    yield api("DELETE", f"/items/{item['id']}/image")
    yield api("DELETE", f"/items/{NOWHERE}/image")


def of_imports(api: Stage) -> Iterator[HTTPResponse]:
    yield api("POST", "/imports", {"items": [{"title": "Vase"}, 7]})
    yield api("POST", "/imports", b'{"title": "Vase"}\n', content_type=requests.NDJSON)
    yield api("POST", "/imports", b"title,n\nVase,1\n", content_type=requests.CSV)
    yield api("POST", "/imports", b"title\nVase,1\n", content_type=requests.CSV)
    yield api("POST", "/imports", b"title,id\nVase,1\n", content_type=requests.CSV)
    yield api("POST", "/imports?key=id", b"title,id\nVase,1\n", content_type=requests.CSV)
    yield api("POST", "/imports?key=nothing", {"items": [{"title": "Vase"}]})
    for title in ("Vase", "Bowl"):
        yield api("POST", "/imports", {"items": [{"title": title}]}, idempotency_key="one")
    yield api("POST", "/imports", {"items": []})
    yield api("POST", "/imports", b" " * (import_parsing.MAX_BYTES + 1))
    yield from of_unreadable_bodies(api, "POST", "/imports")


def of_progress(api: Stage) -> Iterator[HTTPResponse]:
    entries = [{"title": "Vase"}, {"id": 1}, {"": 1}, {"expiresAt": "x"}, {"a": "x" * validation.MAX_ITEM_BYTES}]
    lines = b"\n".join([*(exact_json.to_json(entry) for entry in entries), b"{"])
    begun = api("POST", "/imports", lines, content_type=requests.NDJSON)
    for step in (lambda: None, api.work):
        step()
        yield api("GET", f"/imports/{json_of(begun)['id']}")
    yield api("GET", f"/imports/{NOWHERE}")
    yield api("GET", f"/imports/{NOWHERE}?page=2")


def of_any_route(route: str) -> Callable[[Stage], Iterator[HTTPResponse]]:
    """Return requests for a route that is not in REQUESTS: its example, and one with an unknown parameter."""
    method, _, path = route.partition(" ")
    path = re.sub(r"{\w+}", NOWHERE, path)

    def ask(api: Stage) -> Iterator[HTTPResponse]:
        yield send_example(api, route)
        yield api(method, f"{path}?page=2")

    return ask


REQUESTS: dict[str, Callable[[Stage], Iterator[HTTPResponse]]] = {
    "GET /": of_pages("/"),
    "GET /docs": of_pages("/docs"),
    "GET /web/{name}": of_files,
    "GET /openapi.json": of_pages("/openapi.json"),
    "GET /hello": lambda api: iter(
        [api("GET", "/hello?name=Ann"), api("GET", f"/hello?name={'x' * 101}"), api("GET", "/hello?Name=Ann")]
    ),
    "GET /health": lambda api: iter([api("GET", "/health")]),
    "POST /items": of_creation,
    "GET /items": of_lists,
    "GET /items/{item_id}": of_reading,
    "PUT /items/{item_id}": of_writing("PUT"),
    "PATCH /items/{item_id}": of_writing("PATCH"),
    "DELETE /items/{item_id}": of_deletion,
    "POST /items/{item_id}/image": of_tickets,
    "GET /items/{item_id}/image": of_images,
    "PATCH /items/{item_id}/image": of_focus,
    "DELETE /items/{item_id}/image": of_removed_images,
    "POST /imports": of_imports,
    "GET /imports/{import_id}": of_progress,
}

# The first call of AWS of each route, if it is not GetItem; and a function of the app for routes that call no AWS.
FIRST = {
    "POST /items": (aws.dynamodb, "TransactWriteItems"),
    "GET /items": (aws.dynamodb, "Query"),
    "POST /imports": (aws.s3, "PutObject"),
}
IN_THE_APP = {
    "GET /": (static_files, "console"),
    "GET /docs": (static_files, "docs"),
    "GET /web/{name}": (static_files, "file"),
    "GET /openapi.json": (static_files, "openapi"),
    "GET /hello": (query_parameters, "parse"),
    "GET /health": (schemas, "Health"),
}


def send_example(api: Stage, route: str) -> HTTPResponse:
    """Send the first example of a route's body, or no body, and ids that do not exist."""
    method, _, path = route.partition(" ")
    content = operation_of(route).get("requestBody", {}).get("content", {}).get("application/json")
    body = next((example["value"] for example in content["examples"].values()), None) if content else None
    return api(method, re.sub(r"{\w+}", NOWHERE, path), body)


def of_failure(api: Stage, route: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPResponse]:
    """Yield the responses of a route while AWS or the app fails."""

    def boom(*_: object, **__: object) -> None:
        raise RuntimeError

    if route in IN_THE_APP:
        monkeypatch.setattr(*IN_THE_APP[route], boom)
        yield send_example(api, route)
        return
    client, action = FIRST.get(route, (aws.dynamodb, "GetItem"))
    for code in ("OverLimit", "ResourceNotFoundException", "AccessDenied"):
        fails(client(), action, code, times=1)
        yield send_example(api, route)


@pytest.mark.parametrize("route", ROUTES)
def test_route_returns_exactly_the_described_responses(
    api: Stage, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    returned = {check_response(route, answer) for answer in REQUESTS.get(route, of_any_route(route))(api)}
    returned |= {check_response(route, answer) for answer in of_failure(api, route, monkeypatch)}
    monkeypatch.undo()
    configured(AUTH_MODE="oidc")
    if operation_of(route)["security"]:
        returned.add(check_response(route, send_example(api, route)))

    if route in REQUESTS:
        assert returned == described(route) - FROM_API_GATEWAY
    assert returned <= described(route)


class TestServedDocument:
    def served(self, api: Stage) -> dict[str, Any]:
        answer = api("GET", "/openapi.json")
        assert answer.headers["Content-Type"] == "application/json"
        document: dict[str, Any] = json.loads(answer.body)
        return document

    def test_is_the_file_if_sign_in_is_required(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc")

        assert self.served(api) == DOCUMENT

    def test_names_the_issuer(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc", OIDC_ISSUER="https://id.example", OIDC_AUDIENCE="shop, desk")

        served = self.served(api)

        bearer = served["components"]["securitySchemes"]["bearer"]
        assert bearer["description"].endswith(" from `https://id.example` for `shop` or `desk`.")
        bearer["description"] = DOCUMENT["components"]["securitySchemes"]["bearer"]["description"]
        assert served == DOCUMENT

    def test_makes_the_token_optional_without_sign_in(self, api: Stage) -> None:
        served = self.served(api)

        for path, methods in served["paths"].items():
            for method, operation in methods.items():
                required = DOCUMENT["paths"][path][method]["security"]
                assert operation["security"] == (required and [{"bearer": []}, {}])
                operation["security"] = required
        assert served == DOCUMENT


def test_every_image_status_is_returned(api: Stage) -> None:
    states = {json_of(answer).get("image", {}).get("status") for answer in of_reading(api) if answer.status_code == 200}

    assert states == {None, "pending", "processing", "ready", "failed"}


@pytest.mark.parametrize("route", [route for route in ROUTES if "requestBody" in operation_of(route)])
def test_every_example_of_a_body_is_accepted(api: Stage, route: str) -> None:
    method, _, path = route.partition(" ")
    for type_, content in operation_of(route)["requestBody"]["content"].items():
        for example in content["examples"].values():
            body = example["value"] if isinstance(example["value"], dict) else example["value"].encode()
            id_ = api.id_for(path)
            answer = api(method, re.sub(r"{\w+}", id_, path), body, content_type=type_)
            assert answer.status_code < 300, answer.body


def test_unknown_method_returns_the_described_response(api: Stage) -> None:
    answer = api("TRACE", "/items")
    documented = DOCUMENT["components"]["responses"]["UnknownMethod"]

    check(documented["content"]["application/json"]["schema"], json.loads(answer.body))
    assert documented["headers"].keys() <= answer.headers.keys()


class TestInvalidBySchema:
    @pytest.mark.parametrize("value", ["null", "Null", "1", "1.5", "1e9", "-1"])
    @pytest.mark.parametrize("name", ["createdAfter", "createdBefore"])
    def test_time_is_refused(self, api: Stage, name: str, value: str) -> None:
        answer = api("GET", f"/items?{name}={value}")

        assert (answer.status_code, json_of(answer)["details"][0]["path"]) == (400, f"$.{name}")

    @pytest.mark.parametrize("value", ["1.0", "1e1", "10E-1", "null", "٣"])
    def test_limit_is_refused(self, api: Stage, value: str) -> None:
        assert api("GET", f"/items?limit={value}").status_code == 400

    @pytest.mark.parametrize("value", ["null", "Null", "200.0", "2e2"])
    def test_size_is_refused(self, api: Stage, value: str) -> None:
        answer = api("GET", f"/items/{api.item()['id']}/image?size={value}")

        assert (answer.status_code, json_of(answer)["details"][0]["path"]) == (400, "$.size")

    def test_invalid_expiry_is_refused_before_the_version(self, api: Stage) -> None:
        path = f"/items/{api.item()['id']}"

        for method in ("PUT", "PATCH"):
            answer = api(method, path, fields(expiresAt="soon"), if_match='"7"')
            assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_EXPIRY"), method


class TestValidBySchema:
    @pytest.mark.parametrize("number", [f"1{'0' * 60}", f"-25{'0' * 120}", f"0.{'5' * 38}{'0' * 40}"])
    def test_number_with_trailing_zeros_is_accepted(self, api: Stage, number: str) -> None:
        made = api("POST", "/items", as_json(f'"n": {number}'))

        assert made.status_code == 201
        path = f"/items/{json_of(made)['id']}"
        assert json_of(api("GET", path))["n"] == exact_json.from_json(number)
        assert api("PATCH", path, {"title": "Vase"}).status_code == 200

    def test_size_may_be_any_integer(self, api: Stage) -> None:
        item = api.item()
        api.picture(item["id"], jpeg())

        for size in ("0", "-1", "16351586422731352064"):
            assert api("GET", f"/items/{item['id']}/image?size={size}").status_code == 404
