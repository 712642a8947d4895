"""The gallery: which items are shown, in which order, and how that is said."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import System, made
from tests.browser.looks import serious_faults
from tests.browser.tab import File, Tab
from tests.e2e.system import request


@pytest.fixture(autouse=True)
def three_items(system: System, tab: Tab) -> None:
    while items := request("GET", f"{system.url}/items?limit=100").json()["items"]:
        for item in items:
            request("DELETE", f"{system.url}/items/{item['id']}")
    made(system, title="Elm chair", wood="elm", height=91)
    made(system, title="Oak table", wood="oak", height=74, round=True)
    made(system, title="Oak bench", wood="oak", height=45)
    tab.open(system.url)


def test_says_how_many_there_are(tab: Tab) -> None:
    expect(tab.page.get_by_text("3 items")).to_be_visible()
    tab.create("Ash stool")

    expect(tab.page.get_by_text("4 items")).to_be_visible()


def test_is_filtered_by_what_the_items_say(tab: Tab) -> None:
    tab.page.get_by_role("searchbox").fill("oak 74")
    expect(tab.page.get_by_text("1 of 3 items")).to_be_visible()
    expect(tab.card("Oak table")).to_be_visible()
    expect(tab.card("Oak bench")).to_be_hidden()
    tab.page.get_by_role("searchbox").fill("cherry")
    expect(tab.page.get_by_text("No item here matches.")).to_be_visible()
    assert serious_faults(tab.page) == []
    tab.press("Show all items")

    expect(tab.card("Elm chair")).to_be_visible()


def test_what_is_made_is_seen_whatever_it_was_filtered_by(tab: Tab) -> None:
    tab.page.get_by_role("searchbox").fill("oak")
    tab.create("Ash stool")

    expect(tab.card("Ash stool")).to_be_visible()


def test_can_begin_with_the_oldest(tab: Tab) -> None:
    tab.page.get_by_label("Order").select_option("Oldest first")
    expect(tab.page.locator(".card h2").first).to_have_text("Elm chair")
    tab.create("Ash stool")

    expect(tab.page.locator(".card h2").last).to_have_text("Ash stool")


def test_shows_what_was_added_between_two_days(tab: Tab) -> None:
    tab.page.get_by_label("Added", exact=True).select_option("Between dates…")
    tab.page.get_by_label("Added until").fill("2001-12-31")
    expect(tab.page.get_by_text("No item here matches.")).to_be_visible()
    tab.page.get_by_label("Added until").fill("2100-12-31")
    expect(tab.card("Elm chair")).to_be_visible()
    tab.page.get_by_label("Added", exact=True).select_option("Last 24 hours")

    expect(tab.card("Elm chair")).to_be_visible()
    assert serious_faults(tab.page) == []


def test_shows_what_others_have_made_when_refreshed(system: System, tab: Tab) -> None:
    made(system, title="Made elsewhere")
    tab.press("Refresh")

    expect(tab.page.locator(".card h2").first).to_have_text("Made elsewhere")
    expect(tab.page.locator(".card")).to_have_count(4)


def test_an_import_leaves_alone_what_somebody_looks_at(tab: Tab) -> None:
    tab.card("Elm chair").get_by_role("link").focus()
    tab.drop("main", File("more.ndjson", "", b'{"title": "Imported"}'))

    expect(tab.card("Imported")).to_be_visible(timeout=60_000)
    expect(tab.card("Elm chair").get_by_role("link")).to_be_focused()


def test_an_answer_that_is_none_is_said(tab: Tab) -> None:
    tab.page.route("**/items?*", lambda route: route.fulfill(body="<html>A proxy's page"), times=1)
    tab.press("Refresh")

    expect(tab.page.get_by_role("alert")).to_contain_text("not a list of items")
    expect(tab.card("Elm chair")).to_be_visible()
    tab.press("Try again")
    expect(tab.page.get_by_role("alert")).to_have_count(0)


def test_is_empty_with_a_way_to_begin(system: System, tab: Tab) -> None:
    for item in request("GET", f"{system.url}/items").json()["items"]:
        request("DELETE", f"{system.url}/items/{item['id']}")
    tab.press("Refresh")

    expect(tab.page.get_by_role("heading", name="Nothing on show yet")).to_be_visible()
    assert serious_faults(tab.page) == []
