"""The pages for visitors: a public catalogue, an item, and errors.

The pages are complete without JavaScript; ``web/visitors.js`` only avoids reloads. An item is rendered from the JSON
that the API returns to visitors, so a page cannot show more than that.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from chalicelib.catalogue import search_index_keys
from chalicelib.catalogue.items import Page
from chalicelib.catalogue.models import Fields
from chalicelib.catalogue.public_catalogues import Catalogue
from chalicelib.http import item_markup, requests, responses, schemas, serializers, static_files
from chalicelib.http.markup import Markup, clipped, h, join, line, text
from chalicelib.values import exact_json, words

if TYPE_CHECKING:
    from chalice.app import Request, Response

    from chalicelib.errors import ApiError

MAX_CARDS = 24
"""The items on a page of a catalogue."""

_MAX_TITLE = 100
_MAX_DESCRIPTION = 200
"""The most characters of the title and the description of a page in previews of links."""

_NO_ROBOTS = h("meta", {"name": "robots", "content": "noindex"})


def list_query(query: schemas.CataloguePageQuery) -> schemas.PublicListQuery:
    """Return the query for the items on a page of a catalogue. A search without a word is ignored."""
    has_word = query.q is not None and words.split(query.q)
    return schemas.PublicListQuery(limit=MAX_CARDS, cursor=query.cursor, q=query.q if has_word else None)


def catalogue_page(
    request: Request, catalogue: Catalogue, query: schemas.PublicListQuery, page: Page, next_cursor: str | None
) -> Response:
    """Return a page of a catalogue, with a link to the next one if there is a cursor.

    Search engines index only the first page without a search, because the content of the others changes. They follow
    the links of all pages.
    """
    items = [exact_json.object_from_json(serializers.public_item(copy)) for copy in page.items]
    url, title = _url(request, catalogue.id), _title(catalogue)
    cards = [item_markup.card(item, f"{url}/{item['id']}", position) for position, item in enumerate(items)]
    body = h(
        "main",
        {"class": "catalogue"},
        h(
            "header",
            {},
            h("h1", {"dir": "auto", "tabindex": -1}, title),
            h("p", {"class": "about", "dir": "auto"}, catalogue.text) if line(catalogue.text) else None,
            _search_form(url, query.q),
        ),
        h(
            "section",
            {"aria-label": "Items"},
            _status(url, query, len(items), next_cursor),
            h("ul", {"class": "gallery"}, cards) if cards or next_cursor else None,
            _next_link(url, query.q, next_cursor),
        ),
    )
    image = next((item["image"] for item in items if "image" in item), None)
    meta = join(_preview(title, catalogue.text, None, image), _address(request, f"/c/{catalogue.id}"))
    if query.q is None and query.cursor is None:
        return _page(request, title, meta, body, responses.SHARED)
    heading = title if query.q is None else f"{clipped(line(query.q), _MAX_TITLE)} · {title}"
    return _page(request, heading, join(meta, _NO_ROBOTS), body, responses.SHARED)


def item_page(request: Request, encoded: bytes, catalogue: Catalogue | None = None) -> Response:
    """Return the page of an item, whose JSON for visitors is ``encoded``.

    Without a catalogue, it is the page of a share link: search engines and shared caches do not keep it, and it has no
    link to other items.
    """
    item = exact_json.object_from_json(encoded)
    name = item_markup.name_of(item)
    site = _title(catalogue) if catalogue else None
    body = h(
        "main",
        {"class": "item"},
        h("nav", {"aria-label": "Catalogue"}, _link("back", _url(request, catalogue.id), _title(catalogue)))
        if catalogue
        else None,
        h(
            "article",
            {},
            item_markup.large_picture(item),
            h("h1", {"dir": "auto", "tabindex": -1}, name),
            item_markup.field_list(item),
        ),
    )
    meta = _preview(name, item_markup.description_of(item), site, item.get("image"))
    title = clipped(name, _MAX_TITLE)
    if catalogue is None:
        return _page(request, title, join(meta, _NO_ROBOTS), body, responses.PRIVATE)
    meta = join(meta, _address(request, f"/c/{catalogue.id}/{item['id']}"))
    return _page(request, f"{title} · {site}", meta, body, responses.SHARED)


_UNAVAILABLE = ("This page cannot be shown at the moment", "Please try again in a minute.")
_ERRORS = {
    400: ("This address does not work", "It is not complete, or no longer valid."),
    404: ("There is nothing here", "It may have been removed, or the address has a mistake."),
}


def error_page(request: Request, error: ApiError, request_id: str) -> Response:
    """Return what a visitor sees in place of an error."""
    heading, sentence = _ERRORS.get(error.status, _UNAVAILABLE)
    # Link to the catalogue that the address names, even if it may not exist. On the catalogue's own page, do so only if
    # the query is invalid: otherwise the link would lead to the same error.
    named = request.uri_params or {}
    start = named.get("catalogue_id") if error.status == 400 or "item_id" in named else None
    body = h(
        "main",
        {"class": "message"},
        h("h1", {"tabindex": -1}, heading),
        h("p", {}, sentence),
        h("p", {}, _link("back", _url(request, start), "To the catalogue")) if start else None,
        h("p", {"class": "note"}, "Request ", h("code", {}, request_id)) if error.status >= 500 else None,
    )
    response = responses.error_response(error, request_id)
    response.body = _document(request, heading, _NO_ROBOTS, body)
    response.headers |= _headers()
    return response


# ------------------------------------------------------------------------------------------------------------ documents


def _page(request: Request, title: str, meta: Markup, body: Markup, cache_control: str) -> Response:
    headers = _headers() | {"Cache-Control": cache_control}
    return responses.file_response(request, _document(request, title, meta, body), headers)


def _headers() -> dict[str, str]:
    return {"Content-Type": "text/html; charset=utf-8"} | static_files.page_headers(for_visitors=True)


def _document(request: Request, title: str, meta: Markup, body: Markup) -> str:
    template = static_files.file_text("visitors.html")
    template = template.replace('="web/', f'="{requests.relative_base(request)}web/')
    version = static_files.visitor_files_version()
    for name in static_files.VISITOR_FILES:
        template = template.replace(f'/{name}"', f'/{name}?v={version}"')
    return Template(template).substitute(title=text(line(title)), meta=meta, body=body)


def _preview(title: str, description: str, site: str | None, image: Fields | None) -> Markup:
    """Return the elements for the previews of links (The Open Graph protocol, ogp.me; X, "Cards markup")."""
    described = clipped(line(description), _MAX_DESCRIPTION) or None
    picture = item_markup.largest(image) if image else None
    properties = {
        "og:type": "website",
        "og:title": clipped(title, _MAX_TITLE),
        "og:description": described,
        "og:site_name": site,
        **({f"og:image{name}": picture[key] for name, key in _PICTURE_PROPERTIES.items()} if picture else {}),
    }
    return join(
        h("meta", {"name": "description", "content": described}) if described else None,
        (h("meta", {"property": name, "content": value}) for name, value in properties.items() if value is not None),
        h("meta", {"name": "twitter:card", "content": "summary_large_image" if picture else "summary"}),
    )


_PICTURE_PROPERTIES = {"": "url", ":type": "type", ":width": "width", ":height": "height"}


def _address(request: Request, path: str) -> Markup:
    """Return the canonical address of a page, without the query parameters of the request."""
    url = f"{requests.public_base_url(request)}{path}"
    return join(h("link", {"rel": "canonical", "href": url}), h("meta", {"property": "og:url", "content": url}))


# ---------------------------------------------------------------------------------------------------- parts of the list


def _title(catalogue: Catalogue) -> str:
    return line(catalogue.title) or "Catalogue"


def _url(request: Request, catalogue_id: str) -> str:
    return f"{requests.relative_base(request)}c/{catalogue_id}"


def _link(kind: str, url: str, label: str) -> Markup:
    return h("a", {"class": kind, "href": url, "dir": "auto"}, label)


def _search_form(url: str, searched: str | None) -> Markup | None:
    if not any(one.is_searchable for one in search_index_keys.current().public.fields):
        return None
    box = {"type": "search", "name": "q", "placeholder": "Search", "aria-label": "Search", "autocomplete": "off"}
    return h(
        "form",
        {"role": "search", "action": url},
        h("input", {**box, "maxlength": words.MAX_QUERY_LENGTH, "value": searched}),
        h("button", {}, "Search"),
    )


def _status(url: str, query: schemas.PublicListQuery, count: int, next_cursor: str | None) -> Markup | None:
    """Return the text above the items, and the link to all of them if some are left out."""
    if query.q is None and query.cursor is None:
        return None if count or next_cursor else h("p", {"class": "status"}, "There is nothing here yet.")
    if query.q is None:
        heading = "Further items"
    elif count == 0 and next_cursor is None and query.cursor is None:
        heading = f"Nothing matches “{line(query.q)}”."
    else:
        heading = f"Items that match “{line(query.q)}”"
    return h("p", {"class": "status"}, h("span", {"dir": "auto"}, heading), " ", _link("all", url, "Show all"))


def _next_link(url: str, searched: str | None, next_cursor: str | None) -> Markup | None:
    if next_cursor is None:
        return None
    parameters = urlencode({**({"q": searched} if searched else {}), "cursor": next_cursor})
    return h("p", {"class": "more"}, h("a", {"href": f"{url}?{parameters}", "rel": "next"}, "More"))
