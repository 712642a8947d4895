"""Models to responses: JSON, entity tags and the other headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib import errors, telemetry
from chalicelib.catalogue.bulk_imports import Progress, Started
from chalicelib.catalogue.items import Page
from chalicelib.catalogue.models import Item
from chalicelib.http import cors, cursors, requests, schemas, serializers
from chalicelib.http.conditional_requests import item_etag, text_etag
from chalicelib.values import exact_json

if TYPE_CHECKING:
    import msgspec

_READS = ("GET", "HEAD")


def mark(response: Response, origin: str | None, request_id: str) -> None:
    """Add the headers that every response has: CORS, the request id, and that browsers must not guess the type."""
    response.headers |= cors.response_headers(origin)
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"


def json_answer(body: msgspec.Struct | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response, from a model or JSON. Caches must not store it unless ``headers`` allow it."""
    data = body if isinstance(body, bytes) else exact_json.to_json(body)
    headers = {"Content-Type": requests.JSON, "Cache-Control": "no-store"} | (headers or {})
    return Response(data.decode(), {**headers}, status)


def item_answer(request: Request, item: Item) -> Response:
    """Return an item with its entity tag, or 304 if If-None-Match of a read names it."""
    if request.method in _READS:
        requests.preconditions(request).check_read(item)
    headers = _private(item_etag(item))
    return not_modified(request, headers) or json_answer(serializers.item(item), headers=headers)


def _private(tag: str) -> dict[str, str]:
    """Return the headers of what belongs to one owner: only its client may store it, and must revalidate it."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def file_answer(request: Request, text: str, headers: dict[str, str]) -> Response:
    """Return a text that is the same for everybody, to be revalidated before each use, or 304."""
    requests.refuse_headers(request, "If-Match")
    headers = {"ETag": text_etag(text), "Cache-Control": "no-cache"} | headers
    return not_modified(request, headers) or Response(text, {**headers})


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return 304 if If-None-Match of a read names the ETag in ``headers``, else None: then the content must be sent."""
    known = requests.preconditions(request).if_none_match if request.method in _READS else None
    if known is None or not known.include(headers["ETag"]):
        return None
    # RFC 9110, section 15.4.5: those headers of the 200 that caches use.
    return Response("", {"ETag": headers["ETag"], "Cache-Control": headers["Cache-Control"]}, 304)


def created(request: Request, item: Item, replayed: bool) -> Response:
    """201 with the item and where it is from now on."""
    headers = _private(item_etag(item)) | {"Location": location(request, item.id), **_replayed(replayed)}
    return json_answer(serializers.item(item), 201, headers)


def items_answer(request: Request, asked: schemas.ListQuery, owner: str, page: Page) -> Response:
    """Return a page of a list, as much of it as fits into an answer, and the cursor for what follows; or 304."""
    requests.refuse_headers(request, "If-Match")
    shown = serializers.fit(map(serializers.item, page.items))
    last = page.last if len(shown) == len(page.items) else page.items[len(shown) - 1].id
    following = last and cursors.give(last, *requests.list_of(asked, owner))
    # The same items in the same state, with URLs of the same hour: the same page.
    headers = _private(text_etag(repr([following, *((item.id, item_etag(item)) for item in page.items[: len(shown)])])))
    body = schemas.ItemPage(shown, len(shown), following)
    return not_modified(request, headers) or json_answer(body, headers=headers)


def import_answer(id_: str, progress: Progress, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return how far an import is, with as many of its failures as fit into an answer."""
    return json_answer(serializers.import_progress(id_, progress), status, headers)


def accepted(request: Request, started: Started) -> Response:
    """Return 202 with an import as it begins, and where to watch it."""
    headers = {"Location": location(request, started.id), **_replayed(started.replayed)}
    return import_answer(started.id, Progress("queued", started.total, 0, 0, []), 202, headers)


def _replayed(replayed: bool) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if replayed else {}


def location(request: Request, id_: str) -> str:
    """The path of ``id_`` under the collection that was asked, API Gateway's stage included."""
    return f"{request.context['path'].rstrip('/')}/{id_}"


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
    return json_answer(serializers.error(error, request_id), error.status, headers)
