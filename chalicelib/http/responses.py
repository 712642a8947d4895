"""Build responses: JSON, entity tags, locations and the other headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib import errors
from chalicelib.catalogue.items import Page
from chalicelib.catalogue.models import Item, Share
from chalicelib.catalogue.public_catalogues import Catalogue
from chalicelib.http import cors, cursors, requests, schemas, serializers
from chalicelib.http.conditional_requests import item_etag, text_etag
from chalicelib.values import exact_json

if TYPE_CHECKING:
    import msgspec

    from chalicelib.catalogue import batches, bulk_imports, exports
    from chalicelib.catalogue.search import Query

SHARED = "public, max-age=60, stale-while-revalidate=600"
"""The Cache-Control of what visitors see: every cache may use it for a minute, and ten more while revalidating it.

See RFC 9111, section 5.2.2, and RFC 5861, section 3.
"""

PRIVATE = "private, no-cache"
"""Only the reader's own cache may store it, and must revalidate it."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""The Cache-Control of a file whose URL changes with its content: every cache may keep it for a year (RFC 8246)."""

LINK_HEADERS = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
"""Headers of what a share link shows: its address is a secret."""

_READS = ("GET", "HEAD")


def add_common_headers(response: Response, origin: str | None, request_id: str) -> None:
    """Add the headers of every response: CORS, the request id, and one that stops browsers from guessing the type."""
    response.headers |= cors.response_headers(origin)
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"


def json_response(body: msgspec.Struct | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with a model, or with encoded JSON. By default, caches must not store it."""
    data = body if isinstance(body, bytes) else exact_json.to_json(body)
    headers = {"Content-Type": requests.JSON, "Cache-Control": "no-store"} | (headers or {})
    return Response(data.decode(), {**headers}, status)


def item_response(request: Request, item: Item) -> Response:
    """Return an item with its entity tag, or 304 if If-None-Match of a read includes it.

    Raise VersionMismatchError if If-Match of a read does not include its version.
    """
    if request.method in _READS:
        requests.preconditions(request).check_read(item)
    headers = _private_headers(item_etag(item))
    return _not_modified(request, headers) or json_response(serializers.item(item), headers=headers)


def created_response(request: Request, item: Item, replayed: bool) -> Response:
    """Return 201 with an item and its location. ``replayed`` is true if an earlier request created the item."""
    headers = _private_headers(item_etag(item)) | _location_headers(request, item.id, replayed)
    return json_response(serializers.item(item), 201, headers)


def created_at_response(request: Request, id_: str, body: msgspec.Struct) -> Response:
    """Return 201 with what a request created, and its location."""
    return json_response(body, 201, _location_headers(request, id_, replayed=False))


def page_response(request: Request, owner: str, query: Query, page: Page) -> Response:
    """Return the items of a page that fit into one response, and the cursor of the next page; or 304."""
    requests.reject_headers(request, "If-Match")
    encoded = serializers.fit(map(serializers.item, page.items))
    following = next_cursor(len(encoded), owner, query, page)
    # Pages with the same items at the same versions are equal; item_etag also covers the URLs.
    tags = [(item.id, item_etag(item)) for item in page.items[: len(encoded)]]
    headers = _private_headers(text_etag(repr([following, *tags])))
    body = schemas.ItemPage(encoded, len(encoded), following)
    return _not_modified(request, headers) or json_response(body, headers=headers)


def public_page_response(request: Request, catalogue: Catalogue, query: Query, page: Page) -> Response:
    """Return the items of a page of a public catalogue, as :func:`page_response` does."""
    from chalicelib.catalogue import search  # noqa: PLC0415 - only lists need it

    encoded = serializers.fit(map(serializers.public_item, page.items), search.MAX_PUBLIC_BYTES)
    following = next_cursor(len(encoded), catalogue.partition, query, page)
    return public_response(request, schemas.PublicItemPage(encoded, len(encoded), following))


def public_response(request: Request, body: msgspec.Struct | bytes) -> Response:
    """Return what visitors see, or 304."""
    requests.reject_headers(request, "If-Match")
    data = body if isinstance(body, bytes) else exact_json.to_json(body)
    headers = {"ETag": text_etag(data.decode()), "Cache-Control": SHARED}
    return _not_modified(request, headers) or json_response(data, headers=headers)


def shared_item_response(request: Request, item: Item) -> Response:
    """Return what a share link shows, or 304."""
    requests.reject_headers(request, "If-Match")
    data = serializers.public_item(item)
    headers = _private_headers(text_etag(data.decode()))
    return _not_modified(request, headers) or json_response(data, headers=headers | LINK_HEADERS)


def share_created_response(request: Request, share: Share, token: str) -> Response:
    """Return 201 with a new share link, and its URL, which contains the token."""
    url = f"{requests.public_base_url(request)}/s/{token}"
    return json_response(serializers.new_share(share, url), 201)


def catalogue_response(request: Request, catalogue: Catalogue, item_count: int) -> Response:
    """Return the caller's public catalogue."""
    url = f"{requests.public_base_url(request)}/c/{catalogue.id}"
    return json_response(serializers.catalogue(catalogue, url, item_count))


def next_cursor(sent: int, owner: str, query: Query, page: Page) -> str | None:
    """Return the cursor of the page that follows the first ``sent`` items of this one, or None at the end."""
    last = page.last if sent == len(page.items) else page.positions[sent - 1]
    return last and cursors.encode(last, owner, *query)


def batch_response(outcome: batches.Outcome) -> Response:
    """Return the results of a batch."""
    replayed = {"Idempotency-Replayed": "true"} if outcome.replayed else {}
    return json_response(serializers.batch_results(outcome.results), headers=replayed)


def import_response(
    id_: str, progress: bulk_imports.Progress, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return the progress of an import."""
    return json_response(serializers.import_progress(id_, progress), status, headers)


def import_accepted_response(
    request: Request, started: bulk_imports.Started, queued: bulk_imports.Progress
) -> Response:
    """Return 202 with an import that is not started yet, and its location."""
    headers = _location_headers(request, started.id, started.replayed)
    return import_response(started.id, queued, 202, headers)


def export_response(progress: exports.Progress, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return the progress of an export."""
    return json_response(serializers.export_progress(progress), status, headers)


def export_accepted_response(request: Request, started: exports.Started, queued: exports.Progress) -> Response:
    """Return 202 with an export that is not started yet, and its location."""
    headers = _location_headers(request, started.id, started.replayed)
    return export_response(queued, 202, headers)


def changes_response(request: Request, number: int) -> Response:
    """Return how often items of the caller have changed, or 304."""
    requests.reject_headers(request, "If-Match")
    headers = _private_headers(f'"{number}"')
    return _not_modified(request, headers) or json_response(schemas.Changes(number), headers=headers)


def file_response(request: Request, text: str, headers: dict[str, str]) -> Response:
    """Return a public file that caches must revalidate, or 304."""
    requests.reject_headers(request, "If-Match")
    headers = {"ETag": text_etag(text), "Cache-Control": "no-cache"} | headers
    return _not_modified(request, headers) or Response(text, {**headers})


def redirect_response(url: str) -> Response:
    """Return a redirect to a URL that expires, so caches must not store it."""
    return Response("", {"Location": url, "Cache-Control": "no-store"}, 302)


def error_response(error: errors.ApiError, request_id: str) -> Response:
    """Return a response with an error."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        # RFC 9110, section 11.6.1.
        headers["WWW-Authenticate"] = "Bearer"
    return json_response(serializers.error(error, request_id), error.status, headers | error.headers)


def _private_headers(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": PRIVATE}


def _location_headers(request: Request, id_: str, replayed: bool) -> dict[str, str]:
    # This path begins with the name of API Gateway's stage, as the URL does.
    headers = {"Location": f"{request.context['path'].rstrip('/')}/{id_}"}
    return headers | ({"Idempotency-Replayed": "true"} if replayed else {})


def _not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return 304 if If-None-Match of a read includes the ETag in ``headers``, else None."""
    known = requests.preconditions(request).if_none_match if request.method in _READS else None
    if known is None or not known.include(headers["ETag"]):
        return None
    # A 304 has those headers of the 200 response that caches use (RFC 9110, section 15.4.5).
    return Response("", {"ETag": headers["ETag"], "Cache-Control": headers["Cache-Control"]}, 304)
