"""The console and the API page: the files of ``chalicelib/web``, as they lie there."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from chalicelib import config, errors
from chalicelib.http import requests, responses

if TYPE_CHECKING:
    from chalice.app import Request, Response

_WEB = Path(__file__).parents[1] / "web"
_OPENAPI = Path(__file__).parents[1] / "openapi.json"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

_SIGN_IN = '<meta name="sign-in" content="'


def console(request: Request) -> Response:
    """The web console."""
    path: str = request.context["path"]
    prefix = "" if path.endswith("/") else f"{path.rpartition('/')[2]}/"
    return _page(request, "index.html", prefix)


def docs(request: Request) -> Response:
    """The page that shows the OpenAPI document."""
    prefix = "../" if request.context["path"].endswith("/") else ""
    return _page(request, "docs.html", prefix)


def file(request: Request, name: str) -> Response:
    """A file that the pages use. Raises NotFoundError."""
    if name not in _names():
        raise errors.NotFoundError
    return _answer(request, name, _text(name), {})


def openapi(request: Request) -> Response:
    """Return the OpenAPI document, ``chalicelib/openapi.json``, with what differs from stage to stage."""
    document = msgspec.json.decode(_OPENAPI.read_bytes())
    settings = config.settings()
    if settings.issuer is not None:
        audiences = "` or `".join(settings.issuer.audiences)
        document["components"]["securitySchemes"]["bearer"]["description"] += (
            f" This stage accepts tokens from `{settings.issuer.url}` for `{audiences}`."
        )
    if not config.sign_in_required():
        # An empty requirement makes the others optional (OpenAPI 3.1, "Security Requirement Object").
        for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
            operation["security"] += [{}] if operation["security"] else []
    text = msgspec.json.encode(document).decode()
    return responses.file_response(request, text, {"Content-Type": requests.JSON})


def _page(request: Request, name: str, prefix: str) -> Response:
    # API Gateway serves the console at /api as at /api/. Links are relative, as nobody here knows what the address
    # begins with: so from the one they have to lead elsewhere than from the other.
    html = _text(name).replace('="web/', f'="{prefix}web/').replace(_SIGN_IN, _SIGN_IN + _sign_in())
    return _answer(
        request,
        name,
        html,
        {
            "Content-Security-Policy": _policy(),
            # HTML Standard, "Cross-origin opener policies": no page that opens this one keeps a hold of its window.
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
        },
    )


def _policy() -> str:
    """What a page may run and load (W3C, Content Security Policy Level 3): it runs only what lies in chalicelib/web.

    Pictures come from the bucket and uploads go there, and an issuer answers on hosts of its own choice: which ones
    differs by account, region and endpoint. On this machine they do without TLS.
    """
    settings = config.settings()
    on_this_machine = settings.stage == "local" or (settings.issuer and settings.issuer.url.startswith("http:"))
    others = "https: http:" if on_this_machine else "https:"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data: {others}; "
        f"connect-src 'self' {others}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _sign_in() -> str:
    """Whose page the console signs people in on, and as which client, as percent-encoded JSON; "" where on none."""
    issuer = config.settings().issuer
    if not config.sign_in_required() or issuer is None or issuer.client_id is None:
        return ""
    told = {"issuer": issuer.url, "clientId": issuer.client_id, "audiences": issuer.audiences}
    return quote(json.dumps(told))


def _answer(request: Request, name: str, text: str, headers: dict[str, str]) -> Response:
    return responses.file_response(request, text, {"Content-Type": _TYPES[Path(name).suffix]} | headers)


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in _WEB.iterdir() if path.suffix in _TYPES)


@functools.cache
def _text(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")
