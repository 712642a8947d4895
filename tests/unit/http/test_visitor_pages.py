"""Hostile items and catalogues on the pages for visitors, and the parts of these pages."""

from __future__ import annotations

import base64
import gzip
import re
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from chalice.app import Request
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalogue.items import Page
from chalicelib.catalogue.models import Item
from chalicelib.catalogue.public_catalogues import Catalogue
from chalicelib.http import item_markup, schemas, serializers, static_files, visitor_pages
from chalicelib.values import exact_json
from tests.parsed_page import Element, about, parse

ID = "019ca7b4-e400-7abc-8def-0123456789ab"
AT = "2026-01-31T12:00:00.000Z"
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
SEPARATE_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")


def request(path: str = f"/c/{ID}", resource: str = "/c/{catalogue_id}") -> Request:
    return Request(
        {
            "multiValueQueryStringParameters": None,
            "headers": {},
            "pathParameters": None,
            "requestContext": {
                "httpMethod": "GET",
                "resourcePath": resource,
                "path": f"/api{path}",
                "domainName": "api.example",
            },
            "body": None,
            "stageVariables": None,
        }
    )


def in_text(value: str) -> str:
    """Return a text as a page shows it."""
    return CONTROLS.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))


def in_line(value: str) -> str:
    return " ".join(SEPARATE_OVERRIDES.sub("", in_text(value)).split())


def item_page(fields: dict[str, Any], catalogue: Catalogue | None = None) -> Element:
    encoded = exact_json.to_json({"id": ID, "createdAt": AT, "updatedAt": AT, **fields})
    response = visitor_pages.item_page(request(f"/c/{ID}/{ID}", "/c/{catalogue_id}/{item_id}"), encoded, catalogue)
    return parse(response.body)


def catalogue_page(fields: dict[str, Any], title: str, about_it: str, sought: str | None) -> Element:
    copy = Item(id=ID, version=1, created_at=AT, updated_at=AT, owner="PUBLIC#", fields=fields)
    catalogue = Catalogue(id=ID, owner="ann", title=title, text=about_it)
    query = schemas.PublicListQuery(q=sought)
    page = Page([copy], None, [ID])
    return parse(visitor_pages.catalogue_page(request(), catalogue, query, page, "c").body)


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=60),
    st.text(alphabet="<>&\"'=/!-`$ {}\n\r\0\u202e\u2066;#x", min_size=1, max_size=60),
    st.sampled_from(["</title><script>", '"><img src=x onerror=y>', "<!--", "$title ${body} $", "&lt;&#39;", "]]>"]),
).filter(lambda value: in_line(value) != "")


@given(HOSTILE, HOSTILE, st.lists(HOSTILE, min_size=1, max_size=3), HOSTILE)
def test_any_text_is_text_on_the_page_of_an_item(title: str, description: str, tags: list[str], name: str) -> None:
    catalogue = Catalogue(id=ID, owner="ann", title=name)
    plain = item_page({"title": "a", "description": "b", "tags": ["c"]}, Catalogue(id=ID, owner="ann", title="d"))

    page = item_page({"title": title, "description": description, "tags": tags}, catalogue)

    assert page.shape == plain.shape
    assert page.one("h1").text == in_line(title)
    assert [one.text for one in page.all("dd")] == [in_text(description), in_text(", ".join(tags))]
    assert page.one("a").text == page.one("nav").text == about(page)["og:site_name"] == in_line(name)
    assert page.one("title").text == f"{in_line(title)} · {in_line(name)}"
    assert about(page)["og:title"] == in_line(title)
    assert about(page)["og:description"] == about(page)["description"] == in_line(description)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_any_text_is_text_on_the_page_of_a_catalogue(title: str, tag: str, name: str, text: str, sought: str) -> None:
    plain = catalogue_page({"title": "a", "tags": ["b"]}, "c", "d", "e")

    page = catalogue_page({"title": title, "tags": [tag]}, name, text, sought)

    assert page.shape == plain.shape
    assert page.one("h1").text == about(page)["og:title"] == in_line(name)
    assert page.one("p", class_="about").text == in_text(text)
    assert page.one("h2").text == in_line(title)
    assert page.one("li").one("p").text == in_line(tag)
    assert page.one("input")["value"] == in_line(sought)
    assert page.one("p", class_="status").one("span").text == f"Items that match “{in_line(sought)}”"


IMAGE = {
    "status": "ready",
    "width": 1200,
    "height": 900,
    "placeholder": "HAkGbZpxeoawaIiIeKiGiHDb+Ih9",
    "focus": {"x": 0.26, "y": 1},
    "thumbnails": [
        {"size": 200, "width": 200, "height": 200, "url": "https://b/200?a=1&b=2", "type": "image/jpeg"},
        {"size": 800, "width": 800, "height": 600, "url": "https://b/800?a=1&b=2", "type": "image/webp"},
    ],
}


def test_card_has_a_picture_that_keeps_its_focus() -> None:
    card = parse(item_markup.card({"id": ID, "title": "Vase", "image": IMAGE}, "x", 6))

    picture = card.one("img").attributes
    assert picture == {
        "src": "https://b/200?a=1&b=2",
        "srcset": "https://b/200?a=1&b=2 200w, https://b/800?a=1&b=2 800w",
        "sizes": "(min-width: 40rem) 18rem, 46vw",
        "width": "1200",
        "height": "900",
        "alt": "Vase",
        "decoding": "async",
        "data-placeholder": "HAkGbZpxeoawaIiIeKiGiHDb+Ih9",
        "class": "x3 y10",
        "loading": "lazy",
    }


def test_page_of_an_item_shows_the_whole_picture_and_a_preview_has_it() -> None:
    page = item_page({"title": "Vase", "image": IMAGE})

    assert page.one("img")["srcset"] == "https://b/800?a=1&b=2 800w"
    assert {name: value for name, value in about(page).items() if ":" in name} == {
        "og:type": "website",
        "og:title": "Vase",
        "og:image": "https://b/800?a=1&b=2",
        "og:image:type": "image/webp",
        "og:image:width": "800",
        "og:image:height": "600",
        "twitter:card": "summary_large_image",
    }


def test_share_link_leads_nowhere_and_is_not_kept() -> None:
    encoded = exact_json.to_json({"id": ID, "createdAt": AT, "updatedAt": AT, "title": "Vase"})
    response = visitor_pages.item_page(request("/s/token", "/s/{token}"), encoded)

    page = parse(response.body)
    assert page.all("a") == page.all("link", rel="canonical") == []
    assert about(page)["robots"] == "noindex"
    assert "token" not in response.body
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("pixelsPerInch", "Pixels per inch"),
        ("pixels_per_inch", "Pixels per inch"),
        ("pixels-per-inch", "Pixels per inch"),
        ("imageURL", "Image URL"),
        ("isbn13", "Isbn13"),
        ("__", "__"),
    ],
)
def test_label_of_a_field(name: str, label: str) -> None:
    assert item_markup.label(name) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("12.50"), "12.50"),
        (10**30, "1" + "0" * 30),
        (True, "Yes"),
        (["a", 1], "a, 1"),
        ({"a": [1.5]}, '{"a":[1.5]}'),
        ([["a"]], '[["a"]]'),
    ],
)
def test_value_in_words(value: Any, text: str) -> None:
    assert item_markup.value_text(value) == text


@pytest.mark.parametrize(
    ("value", "is_link"),
    [
        ("https://shop.example/a?b=c#d", True),
        ("https://shop.example:8443", True),
        ("http://shop.example", False),
        ("https://bank.example@evil.example/", False),
        ("https://bänk.example/", False),
        ("https://shop.example/\u202egnp", False),
        ("https://shop.example:٣", False),
        ("javascript:alert(1)", False),
        ("See https://shop.example", False),
        (f"https://shop.example/{'a' * 2000}", False),
    ],
)
def test_only_plain_https_addresses_are_links(value: str, is_link: bool) -> None:
    links = item_page({"title": "a", "description": value}).all("a")

    assert [one["href"] for one in links] == ([value] if is_link else [])
    assert all(one["rel"] == "noopener noreferrer nofollow ugc" for one in links)


@pytest.mark.parametrize(
    ("fields", "name", "summary"),
    [
        ({"title": "Vase", "description": "Blue. " * 50, "price": 5, "tags": ["a", "b"]}, "Vase", "Price 5 · a, b"),
        ({"title": "Vase", "description": "Blue. " * 50}, "Vase", ("Blue. " * 50).strip()),
        ({"description": "A vase"}, "A vase", ""),
        ({"title": " ", "price": 5}, "Untitled", "Price 5"),
        (
            {"title": "Vase", "other": {"a": 1}, "at": AT, "kept": False, "new": True, "on": "2026-01-31"},
            "Vase",
            "New · 2026-01-31",
        ),
    ],
)
def test_name_and_summary(fields: dict[str, Any], name: str, summary: str) -> None:
    assert (item_markup.name_of(fields), item_markup.summary_of(fields)) == (name, summary)


def test_fields_without_a_value_are_left_out() -> None:
    fields = {"title": "Vase", "description": " \n", "price": 0, "tags": [], "other": None}

    assert item_markup.fields_of(fields) == [("price", 0)]


def test_long_texts_are_cut_on_cards_and_in_previews() -> None:
    fields = {"title": "word " * 50_000, "description": "<" * 90_000}

    card, page = item_markup.card({"id": ID, **fields}, "x", 0), item_page(fields)

    assert len(card) < 1_500
    assert len(about(page)["og:title"]) <= 100
    assert len(about(page)["og:description"]) <= 200
    assert len(page.one("dd").text) == 90_000


def test_page_and_its_files_are_under_60_kb_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The largest case: no two items are alike, and each picture has two presigned URLs of a session with a long token.
    random = Random(1)

    def noise(size: int) -> str:
        return base64.urlsafe_b64encode(random.randbytes(size)).decode()

    def public_item(copy: Item) -> bytes:
        url = f"https://bucket.example/public/items/{noise(100)}.jpg?X-Amz-Security-Token={token}&X-Amz-Signature="
        thumbnails = [one | {"url": url + random.randbytes(32).hex()} for one in IMAGE["thumbnails"]]
        image = IMAGE | {"thumbnails": thumbnails, "placeholder": noise(21)}
        return exact_json.to_json({"id": copy.id, "title": noise(90), "description": noise(120), "image": image})

    token = noise(900)
    monkeypatch.setattr(serializers, "public_item", public_item)
    page = Page([Item(id=ID, version=1, created_at=AT, updated_at=AT, owner="PUBLIC#", fields={})] * 24, None, [])
    catalogue = Catalogue(id=ID, owner="ann", title=noise(90), text=noise(1_500))

    html = visitor_pages.catalogue_page(request(), catalogue, schemas.PublicListQuery(), page, noise(90)).body

    assert len(parse(html).all("img")) == 24
    sent = [html, *map(static_files.file_text, static_files.VISITOR_FILES)]
    assert sum(len(gzip.compress(text.encode())) for text in sent) < 60_000
