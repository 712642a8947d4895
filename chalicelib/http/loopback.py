"""Which requests the servers on a developer's machine take: one rule for ``chalice local`` and for the emulator.

A browser sends whatever page is open to 127.0.0.1 as well: by forms and links (Fetch Standard, "simple" requests), or
through a name of the page's own that it has pointed there (DNS rebinding). What tells such requests apart are headers
that no page can set: Host, Origin and Sec-Fetch-Site (Fetch Metadata Request Headers, W3C).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable

PORTS = "ports"
"""The folder, beside the file that AWS_CONFIG_FILE names, in which each ``chalice local`` puts a file that is named for
its port and contains its CORS_ORIGINS: so the emulator knows whose pages may upload to it."""

_NAMES = ("127.0.0.1", "localhost", "[::1]")


def refusal(
    target: str,
    headers: Iterable[tuple[str, str]],
    port: int,
    origins: Collection[str],
    harmless: bool = False,
) -> str | None:
    """Return why a request must not be answered, as a sentence, or None if it may be.

    ``target`` is the request target as sent, ``port`` the server's own. ``origins`` are those whose pages may send
    requests, or ``*``; see ``own_origins``. ``harmless`` requests, which change nothing or carry a proof of their own,
    may come from a page that does not say which it is, such as one that shows a picture.
    """
    said = [(name.lower(), value.strip()) for name, value in headers]
    if not target.startswith("/"):
        return "The request target must be a path that starts with /."
    if [value.lower() in _hosts(port) for name, value in said if name == "host"] != [True]:
        return f"The Host header must be one of {', '.join(_hosts(port))}: other names are not served here."
    asking = [value for name, value in said if name == "origin"]
    if asking:
        strangers = [value for value in asking if value.lower() not in origins]
        return _stranger(strangers[0]) if strangers and "*" not in origins else None
    elsewhere = [value for name, value in said if name == "sec-fetch-site" and value not in ("none", "same-origin")]
    if elsewhere and not harmless:
        return f"Sec-Fetch-Site is {elsewhere[0]!r}: pages of other sites must not send requests to this machine."
    return None


def own_origins(ports: Iterable[int]) -> set[str]:
    """Return the origins of the pages that servers on these ports of this machine show."""
    return {f"http://{host}" for port in ports for host in _hosts(port)}


def opens_page(method: str, path: str, headers: Iterable[tuple[str, str]], pages: Collection[str]) -> bool:
    """Return whether a request opens one of ``pages`` in a tab, as a link does, or an issuer that leads back.

    A tab is not a frame: nothing of it can be read or clicked by the page that opened it.
    """
    said = {name.lower(): value for name, value in headers}
    is_tab = (said.get("sec-fetch-mode"), said.get("sec-fetch-dest")) == ("navigate", "document")
    return method == "GET" and path in pages and is_tab


def answer(reason: str) -> bytes:
    """Return the body of the 403 that says ``reason``, in the shape of the API's errors."""
    return json.dumps({"error": "FORBIDDEN", "message": reason, "requestId": str(uuid.uuid4())}).encode()


def _hosts(port: int) -> tuple[str, ...]:
    with_port = tuple(f"{name}:{port}" for name in _NAMES)
    return (*with_port, *_NAMES) if port == 80 else with_port


def _stranger(origin: str) -> str:
    return f"The origin {origin!r} may not use this server: set CORS_ORIGINS to allow pages of other origins."
