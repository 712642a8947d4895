"""The headers in the OpenAPI document: of requests as parameters, of responses as components."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalicelib.catalogue import idempotency
from chalicelib.http import responses
from tools.openapi.examples import ID
from tools.openapi.json_schemas import ENTITY_TAGS, Schema

PRIVATE = ("ETag", "Cache-Control.private")
"""The headers of a response that belongs to one owner and can be revalidated."""
PUBLIC = ("ETag", "Cache-Control.public")
"""The headers of a response that is the same for everybody and can be revalidated."""
SHARED = ("ETag", "Cache-Control.shared")
"""The headers of a response that every cache may keep for a while."""
LINKED = (*PRIVATE, "Referrer-Policy", "X-Robots-Tag")
"""The headers of what a share link shows."""
NOT_STORED = ("Cache-Control.none",)
FILE = ("ETag", "Cache-Control.file")
OF_PAGES = ("Content-Security-Policy", "Cross-Origin-Opener-Policy", "Referrer-Policy")
PAGE = (*PUBLIC, *OF_PAGES)
VISITOR_PAGE = (*SHARED, *OF_PAGES)
SHARE_PAGE = (*PRIVATE, *OF_PAGES)

_EVERY_RESPONSE = ("X-Content-Type-Options", "X-Request-Id")


def parameter(name: str) -> Schema:
    """Return the parameter for a request header; ``name`` is a key of ``_REQUEST``."""
    return {"name": _without_suffix(name), "in": "header", **_REQUEST[name]}


def references(*names: str) -> dict[str, Schema]:
    """Return the headers of a response: those that every response has, and ``names``, which are keys of COMPONENTS."""
    return {_without_suffix(name): {"$ref": f"#/components/headers/{name}"} for name in (*names, *_EVERY_RESPONSE)}


def _without_suffix(name: str) -> str:
    """Return ``Location`` for ``Location.download``: the suffix distinguishes descriptions of one header."""
    return name.partition(".")[0]


_ENTITY_TAGS: Schema = {
    "schema": {
        "type": "string",
        "pattern": ENTITY_TAGS,
    },
    "example": '"1"',
}

_REQUEST: dict[str, Schema] = {
    "Idempotency-Key": {
        "description": "Chosen by the caller: repeating the same key with the same body creates nothing more for "
        f"{idempotency.PERIOD // timedelta(hours=1)} hours.",
        "schema": {"type": "string", "pattern": f"^{idempotency.KEY_PATTERN}$"},
        "example": "6f1c1a3e-2b3f-4c62-9d5b-8f0a3c5e7d11",
    },
    "If-Match.read": {
        "description": "Entity tags, or `*`: 412 if the current version is none of these.",
        **_ENTITY_TAGS,
    },
    "If-Match.write": {
        "description": "Entity tags, or `*`: the write succeeds only if the current version is one of these.",
        **_ENTITY_TAGS,
    },
    "If-None-Match.read": {
        "description": "Entity tags, or `*`: 304 if the current one is among them.",
        **_ENTITY_TAGS,
    },
    "If-None-Match.write": {
        "description": "Entity tags, or `*`: the write succeeds only if the current version is none of these.",
        **_ENTITY_TAGS,
    },
}


def _always(description: str, example: str | int, **schema: Any) -> Schema:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "required": True, "schema": {"type": kind, **schema}, "example": example}


def _sometimes(description: str, example: str, **schema: Any) -> Schema:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


COMPONENTS: dict[str, Schema] = {
    "X-Request-Id": _always("Finds the request in the logs.", ID, minLength=1),
    "ETag": _always("The entity tag of this response.", '"1"', pattern='^"[^"]+"$'),
    "Location": _always("The path of what was created.", f"/api/items/{ID}", format="uri-reference"),
    "Location.download": _always(
        "An S3 URL that needs no sign-in.", f"https://vitrine-prod.s3.amazonaws.com/{ID}", format="uri"
    ),
    "Cache-Control.none": _always("Do not store this response.", "no-store", const="no-store"),
    "Cache-Control.public": _always("Revalidate before reuse.", "no-cache", const="no-cache"),
    "Cache-Control.file": _always(
        "Revalidate before reuse, unless the URL contains the file's version.",
        "no-cache",
        enum=["no-cache", responses.IMMUTABLE],
    ),
    "Cache-Control.shared": _always(
        "Every cache may reuse this for a minute, and for ten more while it is revalidated.",
        responses.SHARED,
        const=responses.SHARED,
    ),
    "Cache-Control.private": _always(
        "Only the caller may store this, and revalidates it before reuse.",
        "private, no-cache",
        const="private, no-cache",
    ),
    "Accept-Patch": _sometimes(
        "For PATCH: the types that a body may have (RFC 5789).", "application/merge-patch+json, application/json"
    ),
    "Accept-Encoding": _sometimes(
        "If the encoding of the body was refused: the encodings that are accepted.", "gzip, deflate, identity"
    ),
    "Idempotency-Replayed": _sometimes("This is the earlier response; nothing new was created.", "true", const="true"),
    "Retry-After": _always("Seconds to wait before trying again.", 1, minimum=1),
    "WWW-Authenticate": _always("How to sign in.", "Bearer", pattern="^Bearer"),
    "Allow": _always("The methods that this path supports.", "GET, POST"),
    "X-Content-Type-Options": _always("Browsers must not guess the content type.", "nosniff", const="nosniff"),
    "Content-Security-Policy": _always("What the page may load and run.", "default-src 'none'; script-src 'self'"),
    "Cross-Origin-Opener-Policy": _always(
        "No other page keeps a reference to the window.", "same-origin", const="same-origin"
    ),
    "X-Robots-Tag": _always("Search engines do not list this.", "noindex", const="noindex"),
    "Referrer-Policy": _always("Links do not reveal where the reader comes from.", "no-referrer", const="no-referrer"),
}
