"""Serve the console and the API reference, which are files in ``chalicelib/web``, and the OpenAPI document."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from chalicelib import config, errors
from chalicelib.http import requests, responses
from chalicelib.http.conditional_requests import text_etag

if TYPE_CHECKING:
    from chalice.app import Request, Response

_WEB = Path(__file__).parents[1] / "web"
_OPENAPI = Path(__file__).parents[1] / "openapi.json"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

_NOT_SENT = {
    ".js": re.compile(
        r"^[ \t]*(?://.*|/\*\*(?:(?!\*/)[\s\S])*\*/[ \t]*)$"  # a comment that fills its lines
        r"|/\*\*\ @type[^*]*\*/ ?"  # a type within a line
        r"|(?<=[;,{}()\[\]])[ ]//[ ](?:(?![\"'`]).)*$"  # a comment at the end of a line, if it is not part of a text
        r"|^[ \t]+",  # indentation
        re.MULTILINE,
    ),
    ".css": re.compile(r"/\*(?:(?!\*/)[\s\S])*\*/|^[ \t]+", re.MULTILINE),  # comments and indentation
}
"""The parts of a file that browsers do not need: more than a quarter of the compressed scripts."""

VISITOR_FILES = ("visitors.css", "visitors.js", "thumbhash.js")
"""The files that the pages for visitors load."""

_META = '<meta name="{}" content="'


def console(request: Request) -> Response:
    """Return the page of the web console."""
    path: str = request.context["path"]
    prefix = "" if path.endswith("/") else f"{path.rpartition('/')[2]}/"
    return _page(request, "index.html", prefix)


def docs(request: Request) -> Response:
    """Return the page of the API reference, which shows the OpenAPI document."""
    return _page(request, "docs.html", requests.relative_base(request))


def file(request: Request, name: str) -> Response:
    """Return a file that the pages use. Raise NotFoundError if there is no file with this name.

    If the URL contains the version of the files for visitors, as their pages have it, caches may keep it forever.
    """
    if name not in _file_names():
        raise errors.NotFoundError
    version = request.query_params.get("v") if request.query_params else None
    is_current = version is not None and version == visitor_files_version()
    return _file(request, name, file_text(name), {"Cache-Control": responses.IMMUTABLE} if is_current else {})


def visitor_files_version() -> str:
    """Return the version of the files of the pages for visitors: a digest that changes with them."""
    return text_etag("".join(map(file_text, VISITOR_FILES))).strip('"')


def openapi(request: Request) -> Response:
    """Return the OpenAPI document, ``chalicelib/openapi.json``, completed with the sign-in of this stage."""
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
    # Links are relative, because the start of the URL is not known here. API Gateway serves the page with and without
    # a trailing slash, so the prefix of the links differs.
    html = file_text(name).replace('="web/', f'="{prefix}web/')
    for meta, content in {"sign-in": _sign_in_settings(), "item-schemas": _item_schemas()}.items():
        html = html.replace(_META.format(meta), _META.format(meta) + content)
    return _file(request, name, html, page_headers())


def page_headers(*, for_visitors: bool = False) -> dict[str, str]:
    """Return the headers that limit what a page can load and do.

    The Content-Security-Policy (W3C, Content Security Policy Level 3) allows only scripts of the API itself. The
    console may connect to any host with TLS, because the hosts of the bucket and of the issuer depend on account,
    region and issuer. On a developer's machine they have no TLS. Pages for visitors connect only to the API, and have
    a form that works without scripts.
    """
    settings = config.settings()
    is_local = settings.stage == config.LOCAL or (settings.issuer and settings.issuer.url.startswith("http:"))
    hosts = "https: http:" if is_local else "https:"
    connections, forms = ("", "'self'") if for_visitors else (f" {hosts}", "'none'")
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data: {hosts}; "
        f"connect-src 'self'{connections}; form-action {forms}; base-uri 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        # HTML Standard, "Cross-origin opener policies": a page that opens this one gets no reference to its window.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }


def _sign_in_settings() -> str:
    """Return the issuer and client for the console's sign-in as percent-encoded JSON, or "" if there is no sign-in."""
    issuer = config.settings().issuer
    if not config.sign_in_required() or issuer is None or issuer.client_id is None:
        return ""
    client = {"issuer": issuer.url, "clientId": issuer.client_id, "audiences": issuer.audiences}
    return quote(json.dumps(client))


@functools.cache
def _item_schemas() -> str:
    """Return the schemas of an item's own fields in the OpenAPI document, by name, as percent-encoded JSON.

    They are in the page, because the console needs them to name the items of the first list that it shows.
    """
    schemas = msgspec.json.decode(_OPENAPI.read_bytes())["components"]["schemas"]
    own = {name: schema for name, schema in schemas.items() if name.partition(".")[0] == "ItemFields"}
    return quote(msgspec.json.encode(own), safe="(),:;")


def _file(request: Request, name: str, text: str, headers: dict[str, str]) -> Response:
    return responses.file_response(request, text, {"Content-Type": _TYPES[Path(name).suffix]} | headers)


def _file_names() -> frozenset[str]:
    return _names_at(_WEB.stat().st_mtime_ns)


def file_text(name: str) -> str:
    """Return a file's text; scripts and styles without comments and indentation, but with all line ends."""
    return _text_at(name, (_WEB / name).stat().st_mtime_ns)


# Cached by the time of the last change: under `make run`, a saved file takes effect without a restart.
@functools.lru_cache(maxsize=1)
def _names_at(_: int) -> frozenset[str]:
    return frozenset(path.name for path in _WEB.iterdir() if path.suffix in _TYPES)


@functools.lru_cache(maxsize=128)
def _text_at(name: str, _: int) -> str:
    text = (_WEB / name).read_text(encoding="utf-8")
    not_sent = _NOT_SENT.get(Path(name).suffix)
    return not_sent.sub(lambda part: "\n" * part[0].count("\n"), text) if not_sent else text
