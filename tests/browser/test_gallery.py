"""The gallery: which items are shown, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from chalicelib.aws import presigned_downloads
from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items
from tests.browser.screenshots import take_screenshot
from tests.browser.tab import File, Tab, Transfers


@pytest.fixture
def three_items(system: System, tab: Tab) -> None:
    delete_all_items(system)
    create_item(system, title="Elm chair", wood="elm", height=91)
    create_item(system, title="Oak table", wood="oak", height=74, round=True)
    create_item(system, title="Oak bench", wood="oak", height=45)
    tab.open(system.url)


@pytest.mark.usefixtures("three_items")
class TestThreeItems:
    def test_number_of_items_is_shown(self, tab: Tab) -> None:
        expect(tab.page.get_by_text("3 items")).to_be_visible()
        tab.create("Ash stool")

        expect(tab.page.get_by_text("4 items")).to_be_visible()

    def test_search_finds_words(self, tab: Tab) -> None:
        tab.page.get_by_role("searchbox").fill("table OA")
        expect(tab.page.get_by_text("1 item found")).to_be_visible()
        expect(tab.card("Oak table")).to_be_visible()
        tab.page.get_by_role("searchbox").fill("cherry")
        expect(tab.page.get_by_text("No item matches “cherry”.")).to_be_visible()
        assert serious_faults(tab.page) == []
        tab.press("Show all items")

        expect(tab.card("Elm chair")).to_be_visible()

    def test_new_item_is_visible_while_searching(self, tab: Tab) -> None:
        tab.page.get_by_role("searchbox").fill("oak")
        expect(tab.page.get_by_text("2 items found")).to_be_visible()
        tab.create("Ash stool")

        expect(tab.card("Ash stool")).to_be_visible()

    def test_items_are_sorted_by_a_field(self, tab: Tab) -> None:
        tab.page.get_by_label("Order").select_option("Title, A to Z")
        expect(tab.page.locator(".card h2")).to_have_text(["Elm chair", "Oak bench", "Oak table"])

    def test_oldest_first(self, tab: Tab) -> None:
        tab.page.get_by_label("Order").select_option("Oldest first")
        expect(tab.page.locator(".card h2").first).to_have_text("Elm chair")
        tab.create("Ash stool")

        expect(tab.page.locator(".card h2").last).to_have_text("Ash stool")

    def test_items_between_two_dates(self, tab: Tab) -> None:
        tab.page.get_by_label("Added", exact=True).select_option("Between dates…")
        tab.page.get_by_label("Added until").fill("2001-12-31")
        expect(tab.page.get_by_text("No item was added in this time.")).to_be_visible()
        tab.page.get_by_label("Added until").fill("2100-12-31")
        expect(tab.card("Elm chair")).to_be_visible()
        tab.page.get_by_label("Added", exact=True).select_option("Last 24 hours")

        expect(tab.card("Elm chair")).to_be_visible()
        assert serious_faults(tab.page) == []

    def test_refresh_shows_items_made_elsewhere(self, system: System, tab: Tab) -> None:
        create_item(system, title="Made elsewhere")
        tab.press("Refresh")

        expect(tab.page.locator(".card h2").first).to_have_text("Made elsewhere")
        expect(tab.page.locator(".card")).to_have_count(4)

    def test_import_keeps_the_focus(self, tab: Tab) -> None:
        tab.card("Elm chair").get_by_role("link").click()
        tab.press("Close")
        tab.import_file("more.ndjson", '{"title": "Imported"}')

        expect(tab.card("Imported")).to_be_visible(timeout=60_000)
        expect(tab.card("Elm chair").get_by_role("link")).to_be_focused()

    def test_answer_of_a_proxy_is_an_error(self, tab: Tab) -> None:
        tab.page.route("**/items?*", lambda route: route.fulfill(body="<html>A proxy's page"))
        tab.press("Refresh")

        expect(tab.page.get_by_role("alert")).to_contain_text("not from the server")
        expect(tab.card("Elm chair")).to_be_visible()
        tab.page.unroute("**/items?*")
        tab.press("Try again")
        expect(tab.page.get_by_role("alert")).to_have_count(0)

    def test_empty_gallery_offers_a_start(self, system: System, tab: Tab) -> None:
        delete_all_items(system)
        tab.press("Refresh")

        expect(tab.page.get_by_role("heading", name="No items yet")).to_be_visible()
        assert serious_faults(tab.page) == []


ON_SHOW: dict[str, dict[str, Any]] = {
    "moon": {"title": "Surface of the Moon", "taken": 1967, "print": True},
    "motorcycle": {"title": "Garage with a motorcycle", "price": 45.5},
    "rocket": {"title": "Night launch", "place": "Cape Canaveral", "year": 2014},
    "astronaut": {"title": "Eileen Collins", "role": "Commander", "mission": "STS-114"},
    "hubble": {
        "title": "Hubble Deep Field",
        "galaxies": 5500,
        "framed": False,
        "tags": ["sky", "infrared"],
        "description": "Ten days of exposures of a dark patch of sky, no larger than a grain of sand at arm’s length.",
        "camera": {"name": "WFC3", "pixelScale": 0.13},
    },
    "chelsea": {"title": "Chelsea the cat", "age": 7, "indoor": True},
    "coffee": {"title": "Coffee, still hot", "price": 3.20, "size": "double"},
}


def test_gallery_of_photographs(system: System, tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 1280, "height": 840})
    transfers, hour = Transfers(tab.page), presigned_downloads.hour()
    delete_all_items(system)
    create_item(system, title="Loan agreement", pages=14, signed=True)
    for fields in ON_SHOW.values():
        create_item(system, **fields)
    tab.open(system.url)
    for name, fields in ON_SHOW.items():
        tab.drop(tab.card(fields["title"]), File.photograph(name))
    for fields in ON_SHOW.values():
        tab.expect_picture(fields["title"])
    expect(tab.tray.get_by_role("listitem")).to_have_count(0)
    tab.page.evaluate("scrollTo(0, 0)")
    take_screenshot(tab.page, "gallery")
    tab.view_item("Hubble Deep Field")
    take_screenshot(tab.page, "item")
    tab.press("Edit")
    expect(tab.dialog.locator(".item-form")).to_be_visible()
    take_screenshot(tab.page, "form")
    tab.press("Cancel")
    tab.page.emulate_media(color_scheme="dark")
    assert serious_faults(tab.page) == []
    tab.press("Close")
    take_screenshot(tab.page, "gallery-dark")
    tab.page.set_viewport_size({"width": 390, "height": 844})
    assert serious_faults(tab.page) == []
    take_screenshot(tab.page, "gallery-phone")
    tab.view_item("Eileen Collins")
    assert serious_faults(tab.page) == []
    take_screenshot(tab.page, "item-phone")
    tab.press("Close")
    tab.press("Refresh")
    tab.open(system.url)
    for fields in ON_SHOW.values():
        tab.expect_picture(fields["title"])
    loaded = transfers.of("/thumbnails/")
    if presigned_downloads.hour() == hour:  # Otherwise, a page that is loaded again has other URLs.
        loaded = [url.partition("?")[0] for url in loaded]
    assert len(loaded) >= len(ON_SHOW)
    assert len(loaded) == len(set(loaded)), "a thumbnail was loaded twice"
