"""Models to responses: JSON, entity tags and the other headers."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from chalice.app import Request, Response

from chalicelib import errors, telemetry
from chalicelib.catalogue import item_pictures
from chalicelib.catalogue.bulk_imports import Begun, Progress
from chalicelib.catalogue.items import Page
from chalicelib.catalogue.models import Item
from chalicelib.http import cors, cursors, requests, schemas
from chalicelib.values import exact_json

_READS = ("GET", "HEAD")


def mark(response: Response, origin: str | None, request_id: str) -> None:
    """Add the headers that every response has: CORS, the request id, and that browsers must not guess the type."""
    response.headers |= cors.headers(origin)
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"


def etag(item: Item) -> str:
    """The entity tag of an item as shown."""
    if item.image is None or item.image.status != "ready":
        return f'"{item.version}"'
    return f'"{item.version}-{int(time.time() // 3600)}"'


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return ``value`` as JSON, with its numbers exact, and not to be stored unless ``headers`` say so."""
    headers = {"Content-Type": requests.JSON, "Cache-Control": "no-store"} | (headers or {})
    return Response(exact_json.to_json(value).decode(), {**headers}, status)


def item_answer(request: Request, item: Item) -> Response:
    """Return an item with its entity tag, or 304 if If-None-Match of a read names it."""
    if request.method in _READS:
        requests.conditions(request).check_match(item.id, item.version)
    headers = _private(etag(item))
    return not_modified(request, headers) or json_answer(item_pictures.shown(item), headers=headers)


def _private(tag: str) -> dict[str, str]:
    """Return the headers of what belongs to one owner: only its client may store it, and must revalidate it."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def file_answer(request: Request, text: str, headers: dict[str, str]) -> Response:
    """Return a text that is the same for everybody, to be revalidated before each use, or 304."""
    requests.refuse_headers(request, "If-Match")
    headers = {"ETag": _tag_of(text), "Cache-Control": "no-cache"} | headers
    return not_modified(request, headers) or Response(text, {**headers})


def _tag_of(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return 304 if If-None-Match of a read names the ETag in ``headers``, else None: then the content must be sent."""
    known = requests.conditions(request).none_match if request.method in _READS else None
    if known is None or not known.names(headers["ETag"]):
        return None
    # RFC 9110, section 15.4.5: those headers of the 200 that caches use.
    return Response("", {"ETag": headers["ETag"], "Cache-Control": headers["Cache-Control"]}, 304)


def created(request: Request, item: Item, replayed: bool) -> Response:
    """201 with the item and where it is from now on."""
    headers = _private(etag(item)) | {"Location": location(request, item.id), **_replayed(replayed)}
    return json_answer(item_pictures.shown(item), 201, headers)


def items_answer(request: Request, asked: schemas.ListQuery, owner: str, page: Page) -> Response:
    """Return a page of a list, as much of it as fits into an answer, and the cursor for what follows; or 304."""
    requests.refuse_headers(request, "If-Match")
    shown = fitting(item_pictures.shown(item) for item in page.items)
    last = page.last if len(shown) == len(page.items) else page.items[len(shown) - 1].id
    following = last and cursors.give(last, *requests.list_of(asked, owner))
    # The same items in the same state, with URLs of the same hour: the same page.
    headers = _private(_tag_of(repr([following, *((item.id, etag(item)) for item in page.items[: len(shown)])])))
    page_shown = {"items": shown, "count": len(shown), "nextCursor": following}
    return not_modified(request, headers) or json_answer(page_shown, headers=headers)


def import_answer(id_: str, progress: Progress, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return how far an import is, with as many of its failures as fit into an answer."""
    failures = progress.failures[: len(fitting(progress.failures))]
    shown = schemas.ImportShown(id_, progress.status, progress.total, progress.created, progress.failed, failures)
    return json_answer(shown, status, headers)


def accepted(request: Request, begun: Begun) -> Response:
    """Return 202 with an import as it begins, and where to watch it."""
    headers = {"Location": location(request, begun.id), **_replayed(begun.replayed)}
    return import_answer(begun.id, Progress("queued", begun.total, 0, 0, []), 202, headers)


def _replayed(replayed: bool) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if replayed else {}


def location(request: Request, id_: str) -> str:
    """The path of ``id_`` under the collection that was asked, API Gateway's stage included."""
    return f"{request.context['path'].rstrip('/')}/{id_}"


MAX_LIST_BYTES = 6 * 1024 * 1024 - 64 * 1024
"""Of a list in an answer, as Lambda encodes it. Lambda takes 6 MB (AWS, "Lambda quotas"), headers included.

What is largest alone fits: an item of 350 KB takes 2.1 MB when each of its bytes is encoded as six.
"""


def fitting(values: Iterable[Any]) -> list[msgspec.Raw]:
    """Return the JSON of ``values`` one by one, at least of the first, and stop before they are too large together."""
    shown: list[msgspec.Raw] = []
    left = MAX_LIST_BYTES
    for value in values:
        encoded = exact_json.to_json(value)
        left -= _encoded_size(encoded)
        if left < 0 and shown:
            break
        shown.append(msgspec.Raw(encoded))
    return shown


def _encoded_size(body: bytes) -> int:
    """Return the bytes that a part of a body takes in what Lambda is answered.

    There the body is a string in another JSON document, which Lambda's runtime for Python 3.11 writes in ASCII
    (awslambdaric, lambda_runtime_marshaller.py): a quote becomes 2 bytes, a character beyond ASCII 6 or 12.
    """
    return len(json.dumps(body.decode()))


def redirect(url: str) -> Response:
    """302 to a URL that runs out, and so must not be kept."""
    return Response("", {"Location": url, "Cache-Control": "no-store"}, 302)


def error_answer(request: Request, error: errors.ApiError) -> Response:
    """An error in the one shape that all have, counted."""
    telemetry.add_count(f"Error.{error.code}")
    return refusal(error, requests.request_id(request))


def refusal(error: errors.ApiError, request_id: str) -> Response:
    """An error in the one shape that all have."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        # RFC 9110, section 11.6.1: a 401 says how to sign in.
        headers["WWW-Authenticate"] = "Bearer"
    headers |= error.headers
    shape = {"error": error.code, "message": error.message, "requestId": request_id}
    return json_answer(shape | ({"details": error.details} if error.details else {}), error.status, headers)
