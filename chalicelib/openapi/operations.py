"""What each route is for. :mod:`chalicelib.openapi.generator` makes the OpenAPI document of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from chalicelib import config, errors
from chalicelib.catalogue import bulk_imports, models
from chalicelib.http import schemas
from chalicelib.values import exact_json

Fields = models.Fields
Examples = dict[str, Any] | Callable[[Fields], dict[str, Any]]
"""Examples by name, or what makes them of what an item's own fields may look like."""

ITEM, ITEM_FIELDS, ITEM_REPLACEMENT, ITEM_PATCH = "Item", "ItemFields", "ItemReplacement", "ItemPatch"
"""Schemas that follow from ``models.ItemFields``."""

DOCUMENT = "Document"
"""The schema of the document itself."""


class Content(NamedTuple):
    """What a body is: ``model`` is a model, or the name of one of those schemas."""

    model: Any
    examples: Examples
    types: tuple[str, ...] = ("application/json",)


class Answer(NamedTuple):
    """How a route answers where nothing is wrong."""

    description: str
    content: Content | None = None
    headers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class Operation(NamedTuple):
    """What a route is for; ``refusals`` are its errors beside those that follow from the rest."""

    tag: str
    summary: str
    answers: dict[int, Answer]
    description: str | None = None
    query: type[Any] | None = None
    misfit: tuple[str, str] = ("", "")
    """A parameter of ``query``, and a value that it does not take."""
    headers: tuple[str, ...] = ()
    body: tuple[Content, ...] = ()
    refusals: tuple[type[errors.ApiError], ...] = ()
    public: bool = False


# ----------------------------------------------------------------------------------------------------------- examples

VASE: Fields = {"title": "Blue vase", "price": 48.5, "tags": ["glass", "1930s"]}
LATER = "2100-01-31T12:00:00.000Z"
ID = "019ca7b4-e400-7abc-8def-0123456789ab"
_OTHER_ID = "019ca7b4-e3ff-7123-9abc-def012345678"

_MANAGED = {
    "id": ID,
    "version": 1,
    "createdAt": "2026-03-01T08:00:00.000Z",
    "updatedAt": "2026-03-01T08:00:00.000Z",
}
_S3 = "https://vitrine-prod-123456789012-eu-central-1.s3.amazonaws.com"
_SIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=7200&X-Amz-Signature=5f1c"
_KEY = f"uploads/items/4c8e5f0a-7b1d-4c0e-9a35-2f6d8c1b7e90/{ID}/{_OTHER_ID}"
_DOWNLOAD = f"{_S3}/{_KEY}?{_SIGNED}"
_IMAGES: dict[str, Any] = {
    "pending": {"status": "pending", "contentType": "image/jpeg"},
    "processing": {"status": "processing"},
    "ready": {
        "status": "ready",
        "contentType": "image/jpeg",
        "width": 1600,
        "height": 1200,
        "bytes": 482133,
        "url": _DOWNLOAD,
        "thumbnails": [
            {"size": 200, "width": 200, "height": 200, "url": _DOWNLOAD.replace("uploads", "thumbnails", 1)}
        ],
    },
    "failed": {
        "status": "failed",
        "error": {"error": errors.ImageUnreadableError.code, "message": errors.ImageUnreadableError().message},
    },
}
_TICKET = {
    "upload": {
        "url": f"{_S3}/",
        "fields": {
            "Content-Type": "image/jpeg",
            "key": _KEY,
            "policy": "eyJleHBpcmF0aW9uIjogIjIwMjYtMDMtMDFUMDg6MTU6MDBaIn0=",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": "EXAMPLE/20260301/eu-central-1/s3/aws4_request",
            "x-amz-date": "20260301T080000Z",
            "x-amz-signature": "5f1c",
        },
    },
    "maxBytes": config.MAX_IMAGE_BYTES,
    "expiresAt": "2026-03-01T08:15:00.000Z",
}


def _import(status: str, created: int, *failures: errors.ApiError) -> dict[str, Any]:
    said = [{"index": 1, "error": failure.code, "message": failure.message} for failure in failures]
    return {"id": ID, "status": status, "total": 2, "created": created, "failed": len(said), "errors": said}


_item = Content(
    ITEM,
    lambda own: {
        "withoutPicture": _MANAGED | own,
        "thatExpires": _MANAGED | {"expiresAt": LATER} | own,
        **{f"withPicture{status.title()}": _MANAGED | {"image": image} | own for status, image in _IMAGES.items()},
    },
)
_fields = Content(ITEM_FIELDS, lambda own: {"forGood": own, "untilThen": own | {"expiresAt": LATER}})
_replacement = Content(ITEM_REPLACEMENT, lambda own: {"forGood": own, "untilThen": own | {"expiresAt": LATER}})
_page = Content(str, {"page": "<!doctype html>"}, ("text/html",))


# ----------------------------------------------------------------------------------------------------- what they share

_PRIVATE = ("ETag", "Cache-Control.private")
_UNSTORED = ("Cache-Control.none",)
_PUBLIC = ("ETag", "Cache-Control.public")
_ITEM_LINKS = ("readItem", "readItemIfChanged", "replaceItem", "patchItem", "deleteItem", "createImageTicket")

_shown = Answer(
    "The page.", _page, (*_PUBLIC, "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Referrer-Policy")
)
_unchanged = Answer("Nothing has changed; there is no body.", headers=_PUBLIC)
_still = Answer("Nothing has changed; there is no body.", headers=_PRIVATE)
_written = Answer("The current item.", _item, _PRIVATE, links=_ITEM_LINKS)

_CONDITIONS = ("If-Match", "If-None-Match.write")

_WRITE = (errors.InvalidRequestError, errors.ReservedFieldError, errors.InvalidExpiryError, errors.ItemTooLargeError)
_CHANGE = (*_WRITE, errors.ItemNotFoundError, errors.VersionMismatchError)

# ---------------------------------------------------------------------------------------------------------- operations

ABOUT, ITEMS, PICTURES, IMPORTS = "About", "Items", "Pictures", "Imports"
TAGS = {
    ITEMS: "The caller's own JSON objects.",
    PICTURES: "One picture per item, uploaded directly to S3, with thumbnails.",
    IMPORTS: "Many items at once, created in the background.",
    ABOUT: "The console, this document and the health check. No sign-in is needed.",
}

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/"): Operation(
        ABOUT, "Show the web console", {200: _shown, 304: _unchanged}, headers=("If-None-Match",), public=True
    ),
    ("GET", "/docs"): Operation(
        ABOUT,
        "Show this document",
        {200: _shown, 304: _unchanged},
        "As a page on which you can try every route.",
        headers=("If-None-Match",),
        public=True,
    ),
    ("GET", "/web/{name}"): Operation(
        ABOUT,
        "Read a file of the console or this page",
        {
            200: Answer(
                "The file.",
                Content(str, {"text": "…"}, ("text/css", "text/javascript", "text/html")),
                _PUBLIC,
            ),
            304: _unchanged,
        },
        headers=("If-None-Match",),
        refusals=(errors.NotFoundError,),
        public=True,
    ),
    ("GET", "/openapi.json"): Operation(
        ABOUT,
        "Read this document",
        {
            200: Answer("An OpenAPI 3.1 document.", Content(DOCUMENT, {"head": {"openapi": "3.1.0"}}), _PUBLIC),
            304: _unchanged,
        },
        "It is generated from the routes and models in use, so it always matches them.",
        headers=("If-None-Match",),
        public=True,
    ),
    ("GET", "/hello"): Operation(
        ABOUT,
        "Greet somebody",
        {
            200: Answer(
                "A greeting.",
                Content(
                    schemas.Hello,
                    {"ann": {"message": "Hello, Ann!", "timestamp": "2026-03-01T08:00:00.000Z", "requestId": ID}},
                ),
                _UNSTORED,
            )
        },
        query=schemas.HelloQuery,
        misfit=("name", "x" * 101),
        public=True,
    ),
    ("GET", "/health"): Operation(
        ABOUT,
        "Check that the API responds",
        {
            200: Answer(
                "The API responds.",
                Content(schemas.Health, {"ok": {"status": "ok", "stage": "prod", "version": config.VERSION}}),
                _UNSTORED,
            )
        },
        public=True,
    ),
    ("POST", "/items"): Operation(
        ITEMS,
        "Create an item",
        {
            201: Answer(
                "The new item, or the one that was created with this key before.",
                Content(ITEM, lambda own: {"created": _MANAGED | own}),
                (*_PRIVATE, "Location", "Idempotency-Replayed"),
                _ITEM_LINKS,
            )
        },
        "The body is the item. With an `Idempotency-Key`, you can repeat the request without creating another item.",
        headers=("Idempotency-Key",),
        body=(_fields,),
        refusals=(*_WRITE, errors.IdempotencyKeyReusedError),
    ),
    ("GET", "/items"): Operation(
        ITEMS,
        "List items, page by page",
        {
            200: Answer(
                "A page of items.",
                Content(
                    schemas.ItemPage,
                    lambda own: {
                        "onePage": {"items": [_MANAGED | own], "count": 1, "nextCursor": None},
                        "moreFollow": {
                            "items": [_MANAGED | own],
                            "count": 1,
                            "nextCursor": schemas.CURSOR,
                        },
                        "none": {"items": [], "count": 0, "nextCursor": None},
                    },
                ),
                _PRIVATE,
                links=("nextPage", "readFirst"),
            ),
            304: _still,
        },
        "Newest first, unless `order` is `asc`.",
        headers=("If-None-Match",),
        query=schemas.ListQuery,
        misfit=("limit", "0"),
        refusals=(errors.InvalidCursorError,),
    ),
    ("GET", "/items/{item_id}"): Operation(
        ITEMS,
        "Read an item",
        {
            200: _written._replace(links=(*_ITEM_LINKS, "readThumbnail")),
            304: _still,
        },
        headers=("If-Match.read", "If-None-Match"),
        refusals=(errors.ItemNotFoundError, errors.VersionMismatchError),
    ),
    ("PUT", "/items/{item_id}"): Operation(
        ITEMS,
        "Replace an item's own fields",
        {200: _written},
        "All of them, and `expiresAt`: fields that are not in the body are removed. The picture stays. You can read an "
        "item, change it, and send all of it: managed fields are accepted if they equal what is stored. If nothing "
        "changes, nothing is written and the version stays.",
        headers=_CONDITIONS,
        body=(_replacement,),
        refusals=_CHANGE,
    ),
    ("PATCH", "/items/{item_id}"): Operation(
        ITEMS,
        "Change some of an item's own fields",
        {200: _written},
        "With a JSON Merge Patch (RFC 7396). The result must follow the rules for a whole item. If it is the same as "
        "before, nothing is written and the version stays.",
        headers=_CONDITIONS,
        body=(
            Content(
                ITEM_PATCH,
                lambda own: {
                    "set": dict(list(own.items())[:1]),
                    "setEnd": {"expiresAt": LATER},
                    "removeEnd": {"expiresAt": None},
                },
                ("application/merge-patch+json", "application/json"),
            ),
        ),
        refusals=_CHANGE,
    ),
    ("DELETE", "/items/{item_id}"): Operation(
        ITEMS,
        "Delete an item",
        {
            200: Answer(
                "The item is deleted.",
                Content(schemas.Deleted, {"deleted": {"message": "Item deleted", "id": ID}}),
                _UNSTORED,
                links=("readItem",),
            )
        },
        "Its picture goes with it.",
        headers=_CONDITIONS,
        refusals=(errors.ItemNotFoundError, errors.VersionMismatchError),
    ),
    ("POST", "/items/{item_id}/image"): Operation(
        PICTURES,
        "Get a ticket to upload a picture",
        {
            201: Answer(
                "The ticket: a form for S3.",
                Content(schemas.Ticket, {"ticket": _TICKET}),
                _UNSTORED,
                links=("watchItem", "deleteImage"),
            )
        },
        "When the upload arrives, it replaces the item's current picture.",
        body=(Content(schemas.TicketRequest, {"jpeg": {"contentType": "image/jpeg"}}),),
        refusals=(errors.ItemNotFoundError,),
    ),
    ("GET", "/items/{item_id}/image"): Operation(
        PICTURES,
        "Download the picture or a thumbnail",
        {302: Answer("A redirect to a temporary download URL.", headers=("Location.download", *_UNSTORED))},
        "Only once the item's `image.status` is `ready`.",
        query=schemas.ImageQuery,
        misfit=("size", "large"),
        refusals=(errors.ItemNotFoundError, errors.ImageNotFoundError),
    ),
    ("DELETE", "/items/{item_id}/image"): Operation(
        PICTURES,
        "Remove the picture",
        {
            200: Answer(
                "The picture is removed.",
                Content(schemas.Deleted, {"deleted": {"message": "Image deleted", "id": ID}}),
                _UNSTORED,
                links=("watchItem", "getImage"),
            )
        },
        "With its thumbnails; the item stays. If the picture is still `pending`, uploads with its tickets are "
        "discarded. A ticket for a picture that was to replace it can still be used.",
        headers=_CONDITIONS,
        refusals=(errors.ItemNotFoundError, errors.ImageNotFoundError, errors.VersionMismatchError),
    ),
    ("POST", "/imports"): Operation(
        IMPORTS,
        "Create many items",
        {
            202: Answer(
                "The import, not started yet, or as it was when it began with this key before.",
                Content(schemas.Import, {"queued": _import("queued", 0)}),
                ("Location", "Idempotency-Replayed", *_UNSTORED),
                links=("watchImport",),
            )
        },
        f"Up to {bulk_imports.MAX_ENTRIES:,} items, in up to {bulk_imports.MAX_BYTES // 1024 // 1024} MB. "
        "Once accepted, every item is tried: usually within seconds, within hours if the queue is unavailable. "
        "With an `Idempotency-Key`, you can repeat the request without importing anything twice.",
        headers=("Idempotency-Key",),
        body=(
            Content(schemas.ImportRequest, lambda own: {"two": {"items": [own, own | {"expiresAt": LATER}]}}),
            Content(
                schemas.Lines,
                lambda own: {
                    "two": "".join(f"{exact_json.to_json(one).decode()}\n" for one in (own, own | {"expiresAt": LATER}))
                },
                ("application/x-ndjson",),
            ),
        ),
        refusals=(errors.InvalidRequestError, errors.ImportTooLargeError, errors.IdempotencyKeyReusedError),
    ),
    ("GET", "/imports/{import_id}"): Operation(
        IMPORTS,
        "Show the progress of an import",
        {
            200: Answer(
                "The progress.",
                Content(
                    schemas.Import,
                    {
                        "running": _import("running", 1),
                        "done": _import("done", 2),
                        "oneFailed": _import("done", 1, errors.ReservedFieldError("id")),
                    },
                ),
                _UNSTORED,
            )
        },
        refusals=(errors.ImportNotFoundError,),
    ),
}
