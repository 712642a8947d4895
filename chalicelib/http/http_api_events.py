"""Convert the events of an HTTP API of API Gateway (payload format 2.0) to those of a REST API, which Chalice handles.

The format is described in API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

DEFAULT = "$default"
"""The route of requests that match no other, and the stage that is not part of the path."""


def to_rest_event(event: Any) -> Any:
    """Return a request of an HTTP API as a REST API sends it. Return every other event unchanged.

    The resource path is empty if the request matches no route but ``$default``.
    """
    if not _is_request(event):
        return event
    context = event["requestContext"]
    headers = event.get("headers") or {}
    if event.get("cookies"):
        headers = {**headers, "cookie": "; ".join(event["cookies"])}
    method = context["http"]["method"]
    return {
        "httpMethod": method,
        "path": event["rawPath"],
        "headers": headers,
        "multiValueQueryStringParameters": parse_qs(event.get("rawQueryString") or "", keep_blank_values=True) or None,
        "pathParameters": event.get("pathParameters"),
        "stageVariables": event.get("stageVariables"),
        "body": event.get("body"),
        "isBase64Encoded": bool(event.get("isBase64Encoded")),
        "requestContext": {
            **context,
            "httpMethod": method,
            "path": _path(event["rawPath"], context),
            "resourcePath": event["routeKey"].partition(" ")[2],
        },
    }


def _is_request(event: Any) -> bool:
    if not isinstance(event, dict) or event.get("version") != "2.0":
        return False
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    return isinstance(http, dict) and "method" in http and {"rawPath", "routeKey"} <= event.keys()


def _path(raw_path: str, context: dict[str, Any]) -> str:
    """Return the path of the request's URL: at the API's own address, it begins with the stage.

    At a custom domain, it does not, but ``rawPath`` does. Whether ``rawPath`` begins with the stage at the API's own
    address is not documented, and the emulator differs from AWS. ``rawPath`` never has the key of an API mapping, so a
    custom domain must be mapped without a key.
    """
    stage = context.get("stage", DEFAULT)
    if stage == DEFAULT:
        return raw_path
    below = raw_path.removeprefix(f"/{stage}") if f"{raw_path}/".startswith(f"/{stage}/") else raw_path
    is_custom_domain = context.get("domainPrefix", context.get("apiId")) != context.get("apiId")
    return below or "/" if is_custom_domain else f"/{stage}{below}"
