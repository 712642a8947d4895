"""Whose web pages may call the API, and what they may send and read (Fetch Standard, "CORS protocol").

With one origin, or any, API Gateway answers preflights by itself. With several the answer depends on who asks, so
preflights come to the app. With none there is no route for them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from chalice.app import CORSConfig, Response

from chalicelib.config import Cors, settings

_ALLOWED = ("Idempotency-Key", "If-Match", "If-None-Match")
_EXPOSED = ("ETag", "Location", "Idempotency-Replayed", "X-Request-Id", "Retry-After")
_MAX_AGE = 3600  # seconds that a browser may remember a preflight


def of_chalice() -> CORSConfig | None:
    """What Chalice has to tell API Gateway, or None if it answers no preflights."""
    return _config(settings().cors, settings().cors.origins[0]) if len(settings().cors.origins) == 1 else None


def answered_by_the_app() -> bool:
    """Return whether preflights come to the app."""
    return len(settings().cors.origins) > 1


def headers(origin: str | None) -> dict[str, str]:
    """What every answer says to the page that asked, by its ``Origin``."""
    cors = settings().cors
    if len(cors.origins) == 1:
        return {**_granted(cors, cors.origins[0])}
    if origin is None or origin not in cors.origins:
        return {"Vary": "Origin"}
    return {**_granted(cors, origin), "Vary": "Origin"}


def preflight(methods: Iterable[str]) -> Response:
    """The answer to a preflight; :func:`headers` adds for whom it holds."""
    return Response("", {"Access-Control-Allow-Methods": ",".join(methods)}, 204)


@functools.cache
def _granted(cors: Cors, origin: str) -> Mapping[str, str]:
    return _config(cors, origin).get_access_control_headers()


def _config(cors: Cors, origin: str) -> CORSConfig:
    return CORSConfig(
        allow_origin=origin,
        allow_headers=[*_ALLOWED, *cors.allow_headers],
        expose_headers=[*_EXPOSED, *cors.expose_headers],
        max_age=_MAX_AGE,
    )
