"""The events of an HTTP API: the app responds to them as to the events of a REST API."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from chalice.app import Request
from chalice.config import Config
from chalice.local import LambdaContext, LocalGateway
from hypothesis import example, given, settings
from hypothesis import strategies as st

import app
from chalicelib.http import http_api_events, requests
from tests import http_api_events as http_api
from tools.stage import http_api_conversion

CONVERTER = LocalGateway(app.app, Config.create()).event_converter
NAMES = st.sampled_from(["name", "limit", "filter[title]", "a b", "x"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
QUERIES = st.lists(st.tuples(NAMES, TEXT), max_size=4)
ROUTES = st.sampled_from([(one.method, one.path) for one in http_api_conversion.app_routes(app.app)])
TYPES = st.sampled_from(["application/json", "application/x-ndjson"])
HEADERS = st.dictionaries(
    st.sampled_from(["If-Match", "Idempotency-Key", "Accept", "Origin"]),
    st.text('abc"*,-19', max_size=6).map(str.strip),
)
ID = "019ca7b4-e400-7abc-8def-0123456789ab"


def events(
    method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes, type_: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the events of a REST API and of an HTTP API for the same request."""
    target = path + (f"?{urlencode(query)}" if query else "")
    made = http_api.event(method, target, body, (headers | {"Content-Type": type_}).items())
    rest = CONVERTER.create_lambda_event(method, target, dict(made["headers"]), body)
    rest["requestContext"] |= {"requestId": made["requestContext"]["requestId"], "path": f"/api{path}"}
    rest["requestContext"] |= {"domainName": made["requestContext"]["domainName"]}
    return rest, made


def context() -> LambdaContext:
    return LambdaContext("api_handler", 512, 29_000)


def read(event: dict[str, Any]) -> dict[str, Any]:
    """Return what the app reads from an event."""
    request = Request(event, context())
    return {
        "method": request.method,
        "path": request.path,
        "parameters": request.uri_params or {},
        "query": {name: request.query_params.getlist(name) for name in request.query_params or {}},
        "headers": dict(request.headers),
        "body": request.raw_body,
        "id": requests.request_id(request),
        "base": requests.base_url(request),
        "relative": requests.relative_base(request),
        "etags": requests.header_lines(request, "if-match"),
    }


@settings(max_examples=40)
@given(ROUTES, QUERIES, HEADERS, st.binary(max_size=8) | TEXT.map(str.encode), TYPES)
@example(("GET", "/items"), [("limit", "1"), ("limit", "2"), ("x", ""), ("q", "a&b=c+d%")], {}, b"", "application/json")
@example(("POST", "/items"), [], {"If-Match": '"1", "2"'}, b"\xff\xfe", "application/x-ndjson")
def test_both_events_are_read_equally(
    route: tuple[str, str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes, type_: str
) -> None:
    method, path = route[0], re.sub(r"{\w+}", ID, route[1])
    if type_ == "application/json":  # API Gateway passes it on as text, so other bytes are lost.
        body = body.decode("utf-8", errors="ignore").encode()
    rest, http = events(method, path, query, headers, body, type_)
    assert read(http_api_events.to_rest_event(http)) == read(rest)


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/hello", [("name", "K\u00e4se & Co+1")], b""),
        ("GET", "/hello", [("name", "a"), ("name", "b")], b""),
        ("HEAD", "/docs", [], b""),
        ("GET", "/web/api.js", [], b""),
        ("GET", "/health", [("utm", "x")], b""),
        ("GET", "/items", [("page", "2")], b""),
        ("POST", "/items", [], b"{"),
        ("PUT", f"/items/{ID}", [("x", "1")], b"{}"),
    ],
)
def test_responses_are_equal(method: str, path: str, query: list[tuple[str, str]], body: bytes) -> None:
    rest, http = (app.app(event, context()) for event in events(method, path, query, {}, body, "application/json"))
    for one in (rest, http):
        if path == "/hello" and one["statusCode"] == 200:
            one["body"] = json.loads(one["body"]) | {"timestamp": ""}
            one["headers"].pop("ETag", None)
    assert http == rest
    assert http["multiValueHeaders"] == {}, "Payload format 2.0 has no such field."


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("TRACE", 404), ("OPTIONS", 204)])
def test_default_route_is_not_found_and_accepts_preflights(method: str, status: int) -> None:
    event = http_api.event(method, f"/nowhere/{quote('ä')}", None, [("Origin", "https://shop.example")])

    response = app.app(event, context())

    assert response["statusCode"] == status
    assert response["headers"]["X-Request-Id"] == event["requestContext"]["requestId"]
    assert status == 204 or json.loads(response["body"])["error"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("raw_path", "changes", "path"),
    [
        ("/api/items/1", {}, "/api/items/1"),
        ("/items/1", {}, "/api/items/1"),  # the emulator
        ("/api", {}, "/api"),
        ("/apis", {}, "/api/apis"),
        ("/api/items/", {"domainPrefix": "catalogue"}, "/items/"),
        ("/items", {"domainPrefix": "catalogue"}, "/items"),
        ("/api", {"domainPrefix": "catalogue"}, "/"),
        ("/items", {"stage": "$default"}, "/items"),
    ],
)
def test_path_is_that_of_the_url(raw_path: str, changes: dict[str, str], path: str) -> None:
    event = http_api.event("GET", "/items", None, []) | {"rawPath": raw_path}
    event["requestContext"] |= changes

    assert http_api_events.to_rest_event(event)["requestContext"]["path"] == path


def test_cookies_are_one_header() -> None:
    event = http_api.event("GET", "/", None, []) | {"cookies": ["a=1", "b=2"]}

    assert http_api_events.to_rest_event(event)["headers"]["cookie"] == "a=1; b=2"


@pytest.mark.parametrize("event", [None, [], {}, {"version": "2.0"}, {"version": "2.0", "requestContext": {"http": 1}}])
def test_other_events_are_unchanged(event: Any) -> None:
    assert http_api_events.to_rest_event(event) is event
