"""The pages for visitors, as a browser without JavaScript and a robot get them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.http import responses, static_files
from tests.integration.stage import Stage, json_of
from tests.parsed_page import Element, about, parse

if TYPE_CHECKING:
    from chalice.test import HTTPResponse


def visit(api: Stage, path: str, **headers: str) -> HTTPResponse:
    """Send a request as a visitor."""
    event = api.event("GET", path, **headers)
    event["requestContext"].pop("authorizer", None)
    return api.handle(event)


def seen(api: Stage, path: str) -> Element:
    """Return the page that a visitor gets."""
    answer = visit(api, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), answer.body
    return parse(answer.body.decode())


@pytest.fixture
def window(api: Stage) -> str:
    """Return the path of the page of the public catalogue."""
    mine = json_of(api("PATCH", "/catalogue", {"title": "Ann’s <glass>", "text": "Cups & vases\nsince 1998"}))
    return f"/c/{mine['id']}"


def publish(api: Stage, **fields: Any) -> dict[str, Any]:
    return api.item(visibility="public", **fields)


class TestCatalogue:
    def test_shows_title_text_and_items(self, api: Stage, window: str) -> None:
        api.item(title="Private")
        vase = publish(api, title="Blue vase", price=12.5, tags=["glass", "blue"], description="Long " * 20)

        page = seen(api, window)

        assert page.one("title").text == page.one("h1").text == "Ann’s <glass>"
        assert page.one("p", class_="about").text == "Cups & vases\nsince 1998"
        card = page.one("li")
        assert card.one("h2").text == "Blue vase"
        assert card.one("a")["href"] == f"..{window}/{vase['id']}"
        assert card.one("p").text == "Price 12.5 · glass, blue"
        assert "Private" not in page.text

    def test_links_lead_through_all_pages(self, api: Stage, window: str) -> None:
        ids = [publish(api, title=f"Vase {number}")["id"] for number in range(30)]

        first = seen(api, window)
        more = first.one("a", rel="next")["href"]
        second = seen(api, more.removeprefix(".."))

        hrefs = [one["href"] for page in (first, second) for card in page.all("li") for one in card.all("a")]
        assert hrefs == [f"..{window}/{id_}" for id_ in reversed(ids)]
        assert not second.all("a", rel="next")
        assert second.one("a", class_="all")["href"] == f"..{window}"

    def test_search_finds_items(self, api: Stage, window: str) -> None:
        for title in ("Blue vase", "Red vase", "Bowl"):
            publish(api, title=title)

        page = seen(api, f"{window}?q=VAS&fbclid=x&fbclid=y")

        assert [one.text for one in page.all("h2")] == ["Red vase", "Blue vase"]
        assert page.one("form")["action"] == f"..{window}"
        assert page.one("input")["value"] == "VAS"
        assert page.one("title").text == "VAS · Ann’s <glass>"

    @pytest.mark.parametrize(
        ("query", "text"), [("", "There is nothing here yet."), ("?q=x", "Nothing matches “x”. Show all")]
    )
    def test_empty_list_says_so(self, api: Stage, window: str, query: str, text: str) -> None:
        assert seen(api, window + query).one("p", class_="status").text == text

    @pytest.mark.parametrize("query", ["?q=", "?q=%3F!"])
    def test_search_without_a_word_shows_all(self, api: Stage, window: str, query: str) -> None:
        publish(api, title="Vase")

        assert seen(api, window + query).one("h2").text == "Vase"

    def test_only_the_first_page_is_for_search_engines(self, api: Stage, window: str) -> None:
        publish(api, title="Vase")

        assert "robots" not in about(seen(api, window))
        assert about(seen(api, f"{window}?q=vase"))["robots"] == "noindex"

    def test_preview_of_a_link(self, api: Stage, window: str) -> None:
        page = seen(api, window)

        url = f"http://{api.event('GET', window)['headers'].get('host', '')}/api{window}"
        assert page.one("link", rel="canonical")["href"] == url
        assert about(page) == {
            "description": "Cups & vases since 1998",
            "og:type": "website",
            "og:title": "Ann’s <glass>",
            "og:description": "Cups & vases since 1998",
            "twitter:card": "summary",
            "og:url": url,
        }

    def test_addresses_begin_with_the_setting(self, api: Stage, window: str, configured: Callable[..., None]) -> None:
        configured(PUBLIC_URL="https://d111.cloudfront.net")

        assert about(seen(api, window))["og:url"] == f"https://d111.cloudfront.net{window}"


class TestItem:
    def test_shows_all_public_fields(self, api: Stage, window: str) -> None:
        item = publish(
            api, title="Blue vase", price=12.50, tags=["a", "b"], description="https://shop.example/a?b=c&d", cost=3
        )

        page = seen(api, f"{window}/{item['id']}")

        assert page.one("title").text == "Blue vase · Ann’s <glass>"
        assert page.one("h1").text == "Blue vase"
        fields = [(row.one("dt").text, row.one("dd").text) for row in page.one("dl").all("div")]
        assert fields == [("Description", "https://shop.example/a?b=c&d"), ("Price", "12.5"), ("Tags", "a, b")]
        link = page.one("a", rel="noopener noreferrer nofollow ugc")
        assert link["href"] == link.text == "https://shop.example/a?b=c&d"
        assert page.one("a", class_="back")["href"] == f"../..{window}"
        assert about(page)["og:title"] == "Blue vase"
        assert about(page)["og:site_name"] == "Ann’s <glass>"
        assert about(page)["og:description"] == "https://shop.example/a?b=c&d"
        assert page.one("link", rel="canonical")["href"] == about(page)["og:url"]
        assert about(page)["og:url"].endswith(f"/api{window}/{item['id']}")

    def test_private_item_is_like_one_that_never_was(self, api: Stage, window: str) -> None:
        private = visit(api, f"{window}/{api.item(title='Private')['id']}")
        unknown = visit(api, f"{window}/019ca7b4-e400-7abc-8def-0123456789ab")

        assert private.status_code == unknown.status_code == 404
        assert private.body == unknown.body
        assert parse(private.body.decode()).one("a", class_="back")["href"] == f"../..{window}"


class TestErrors:
    def test_disabled_catalogue_is_like_one_that_never_was(self, api: Stage, window: str) -> None:
        api("PATCH", "/catalogue", {"enabled": False})

        disabled = visit(api, window)
        unknown = visit(api, "/c/0b6f1c1a-3e2b-4f4c-a2d9-5b8f0a3c5e7d")

        assert disabled.status_code == unknown.status_code == 404
        assert disabled.headers["Content-Type"] == "text/html; charset=utf-8"
        assert disabled.headers["Cache-Control"] == "no-store"
        assert disabled.body == unknown.body
        assert parse(disabled.body.decode()).one("h1").text == "There is nothing here"

    @pytest.mark.parametrize("query", ["?cursor=x", "?q=a&q=b", f"?q={'x' * 201}"])
    def test_invalid_address_is_explained(self, api: Stage, window: str, query: str) -> None:
        answer = visit(api, window + query)

        assert answer.status_code == 400
        page = parse(answer.body.decode())
        assert (
            page.one("main").text == "This address does not workIt is not complete, or no longer valid.To the catalogue"
        )
        assert page.one("a")["href"] == f"..{window}"


@pytest.mark.parametrize("path", ["", "/{item}"])
class TestAllPages:
    def test_headers(self, api: Stage, window: str, path: str) -> None:
        path = window + path.format(item=publish(api, title="Vase")["id"])

        answer = visit(api, path)
        again = visit(api, path, if_none_match=answer.headers["ETag"])

        assert answer.headers["Cache-Control"] == again.headers["Cache-Control"] == responses.SHARED
        assert (again.status_code, again.body) == (304, b"")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Content-Security-Policy"].split("; ") == [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data: https: http:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_links_are_relative_to_the_page(self, api: Stage, window: str, path: str, slash: str) -> None:
        path = window + path.format(item=publish(api, title="Vase")["id"]) + slash
        event = api.event("GET", path.removesuffix("/"))
        event["requestContext"]["path"] = f"/api{path}"

        page = parse(api.handle(event).body.decode())

        style = page.one("link", rel="stylesheet")["href"]
        folders = path.count("/") - 1
        assert style.startswith(f"{'../' * folders}web/visitors.css?v=")
        assert all(str(one["href"]).startswith("../" * folders + "c/") for one in page.all("a"))
        assert str(page.one("link", rel="canonical")["href"]).endswith("/api" + path.removesuffix("/"))

    def test_page_has_no_inline_code(self, api: Stage, window: str, path: str) -> None:
        html = visit(api, window + path.format(item=publish(api, title="Vase")["id"])).body.decode()

        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", html)


def test_files_of_a_page_may_be_kept(api: Stage, window: str) -> None:
    page = seen(api, window)
    files = [one["href"] for one in page.all("link") if "web/" in str(one["href"])] + [page.one("script")["src"]]

    assert {re.sub(r".*/|\?.*", "", str(file)) for file in files} == {*static_files.VISITOR_FILES}
    for file in files:
        answer = api("GET", str(file).removeprefix(".."))
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, responses.IMMUTABLE)
    assert api("GET", "/web/visitors.css?v=old").headers["Cache-Control"] == "no-cache"
