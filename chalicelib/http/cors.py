"""CORS headers: which web pages may call the API, and what they may send and read (Fetch Standard, "CORS protocol").

API Gateway responds to preflight requests by itself if one origin is allowed, or any. If several are allowed, the
response depends on the origin of the request, so the app responds. If none is allowed, there is no preflight route.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from chalice.app import CORSConfig, Response

from chalicelib.config import Cors, settings

_REQUEST_HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match")
_RESPONSE_HEADERS = ("ETag", "Location", "Idempotency-Replayed", "X-Request-Id", "Retry-After")
_MAX_AGE = 3600  # seconds for which a browser may cache a preflight response


def gateway_config() -> CORSConfig | None:
    """Return what Chalice configures in API Gateway, or None if API Gateway does not respond to preflights."""
    return _config(settings().cors, settings().cors.origins[0]) if len(settings().cors.origins) == 1 else None


def has_preflight_routes() -> bool:
    """Return whether the app responds to preflight requests."""
    return len(settings().cors.origins) > 1


def response_headers(origin: str | None) -> dict[str, str]:
    """Return the CORS headers of a response to a request with this ``Origin``."""
    cors = settings().cors
    if len(cors.origins) == 1:
        return {**headers_for(cors, cors.origins[0])}
    if origin is None or origin not in cors.origins:
        return {"Vary": "Origin"}
    return {**headers_for(cors, origin), "Vary": "Origin"}


def preflight_response(methods: Iterable[str]) -> Response:
    """Return the response to a preflight request, without the headers of :func:`response_headers`."""
    return Response("", {"Access-Control-Allow-Methods": ",".join(methods)}, 204)


@functools.cache
def headers_for(cors: Cors, origin: str) -> Mapping[str, str]:
    """Return the CORS headers that allow the pages of an origin to call the API."""
    return _config(cors, origin).get_access_control_headers()


def _config(cors: Cors, origin: str) -> CORSConfig:
    return CORSConfig(
        allow_origin=origin,
        allow_headers=[*_REQUEST_HEADERS, *cors.allow_headers],
        expose_headers=[*_RESPONSE_HEADERS, *cors.expose_headers],
        max_age=_MAX_AGE,
    )
