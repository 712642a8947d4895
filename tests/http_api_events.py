"""Make the events that an HTTP API of API Gateway sends for requests (payload format 2.0)."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import app
from tools.stage.http_api_conversion import API_STAGE

_TEXT = ("text/", "application/json", "application/javascript", "application/xml")
"""The beginnings of content types whose bodies API Gateway passes on as text."""


def event(method: str, target: str, body: bytes | None, headers: Iterable[tuple[str, str | bytes]]) -> dict[str, Any]:
    """Return the event for a request without a token to the address of the API itself."""
    address = urlsplit(target)
    lowered: dict[str, str] = {"host": "abc.execute-api.us-east-1.amazonaws.com"}
    for name, value in headers:
        text = (value if isinstance(value, str) else value.decode("latin-1")).strip(" \t")
        lowered[name.lower()] = f"{lowered[name.lower()]},{text}" if name.lower() in lowered else text
    route, parameters = matching_route(method, address.path)
    raw_path = f"/{API_STAGE}{unquote(address.path)}"
    http = {"method": method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""}
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path,
        "rawQueryString": address.query,
        "headers": lowered,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "domainName": lowered["host"],
            "domainPrefix": "abc",
            "http": http,
            "requestId": str(uuid.uuid4()),
            "routeKey": route,
            "stage": API_STAGE,
        },
        "isBase64Encoded": False,
    }
    if parameters:
        made["pathParameters"] = parameters
    if body and lowered.get("content-type", "application/json").startswith(_TEXT):
        made["body"] = body.decode("utf-8", errors="replace")
    elif body:
        made |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return made


def matching_route(method: str, path: str) -> tuple[str, dict[str, str]]:
    """Return the key of the route for a request, and its path parameters. Paths without parameters come first."""
    for route, methods in sorted(app.app.routes.items(), key=lambda one: one[0].count("{")):
        names, values = route.split("/"), path.split("/")
        if method not in methods or method == "OPTIONS" or len(names) != len(values):
            continue
        pairs = list(zip(names, values, strict=True))
        if all(value if name.startswith("{") else name == value for name, value in pairs):
            found = {name.strip("{}"): unquote(value) for name, value in pairs if name.startswith("{")}
            return f"{method} {route}", found
    return "$default", {}
