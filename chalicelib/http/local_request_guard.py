"""Decide which requests the servers on a developer's machine accept: ``chalice local`` and the emulator.

Any page that is open in a browser can send requests to 127.0.0.1: with forms and links (Fetch Standard, "simple"
requests), or through a host name of its own that resolves to 127.0.0.1 (DNS rebinding). Such requests are recognised by
headers that no page can set: Host, Origin and Sec-Fetch-Site (Fetch Metadata Request Headers, W3C).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable

PORTS = "ports"
"""A folder beside the file in AWS_CONFIG_FILE. Each ``chalice local`` writes a file there, named after its port, that
contains its CORS_ORIGINS, so that the emulator accepts uploads from these pages."""

_HOST_NAMES = ("127.0.0.1", "localhost", "[::1]")


def rejection(
    target: str,
    headers: Iterable[tuple[str, str]],
    port: int,
    origins: Collection[str],
    harmless: bool = False,
) -> str | None:
    """Return a sentence that says why a request is rejected, or None if it is accepted.

    ``target`` is the request target as sent, ``port`` the port of the server. ``origins`` are the origins of the pages
    that may send requests, or ``*``; see ``own_origins``. A ``harmless`` request, which changes nothing or is signed,
    is also accepted from a page of another site if it has no Origin, such as the request for a picture.
    """
    lowered = [(name.lower(), value.strip()) for name, value in headers]
    if not target.startswith("/"):
        return "The request target must be a path that starts with /."
    if [value.lower() in _hosts(port) for name, value in lowered if name == "host"] != [True]:
        return f"The Host header must be one of {', '.join(_hosts(port))}: other names are not accepted."
    sent_origins = [value for name, value in lowered if name == "origin"]
    if sent_origins:
        foreign = [value for value in sent_origins if value.lower() not in origins]
        return _foreign_origin(foreign[0]) if foreign and "*" not in origins else None
    sites = [value for name, value in lowered if name == "sec-fetch-site" and value not in ("none", "same-origin")]
    if sites and not harmless:
        return f"Sec-Fetch-Site is {sites[0]!r}: pages of other sites must not send requests to this machine."
    return None


def own_origins(ports: Iterable[int]) -> set[str]:
    """Return the origins of pages served on these ports of this machine."""
    return {f"http://{host}" for port in ports for host in _hosts(port)}


def opens_page(method: str, path: str, headers: Iterable[tuple[str, str]], pages: Collection[str]) -> bool:
    """Return whether a request opens one of ``pages`` in a tab, as a link does, or a redirect after sign-in.

    A page cannot read or click anything in a tab that it opened, unlike in a frame.
    """
    lowered = {name.lower(): value for name, value in headers}
    is_tab = (lowered.get("sec-fetch-mode"), lowered.get("sec-fetch-dest")) == ("navigate", "document")
    return method == "GET" and path in pages and is_tab


def error_body(reason: str) -> bytes:
    """Return the body of the 403 response, which has the shape of the API's errors."""
    return json.dumps({"error": "FORBIDDEN", "message": reason, "requestId": str(uuid.uuid4())}).encode()


def _hosts(port: int) -> tuple[str, ...]:
    with_port = tuple(f"{name}:{port}" for name in _HOST_NAMES)
    return (*with_port, *_HOST_NAMES) if port == 80 else with_port


def _foreign_origin(origin: str) -> str:
    return f"The origin {origin!r} is not allowed: add it to CORS_ORIGINS to allow its pages."
