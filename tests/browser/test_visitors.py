"""The pages for visitors, with and without JavaScript."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items
from tests.browser.screenshots import take_screenshot
from tests.browser.tab import File, Tab
from tests.browser.test_phone import OVERFLOWING, SMALL_INPUTS, SMALL_TARGETS
from tests.e2e.system import request
from tests.e2e.waiting import eventually

PICTURES: dict[str, dict[str, Any]] = {
    "astronaut": {"title": "Eileen Collins", "price": 12, "tags": ["portrait", "space"]},
    "hubble": {
        "title": "Hubble Deep Field",
        "price": 30,
        "tags": ["space", "infrared"],
        "description": "Ten days of exposures of a dark patch of sky.\n\nPrinted on cotton paper, 60 × 40 cm.",
    },
    "moon": {"title": "Craters at noon", "price": 18, "tags": ["space"]},
    "rocket": {"title": "Lift-off", "price": 15, "tags": ["space"]},
    "chelsea": {"title": "Chelsea the cat", "price": 9.5, "tags": ["portrait", "animals"]},
    "coffee": {"title": "Coffee, still hot", "price": 8, "tags": ["still life"]},
    "motorcycle": {"title": "Old motorcycle", "price": 15, "tags": ["still life", "garage"]},
}

ARE_DRAWN = "() => [...document.images].filter(one => one.checkVisibility()).every(one => one.naturalWidth > 1)"


def add_picture(system: System, item_id: str, name: str) -> None:
    """Upload a photograph to an item."""
    form = request("POST", f"{system.url}/items/{item_id}/image", {"contentType": "image/jpeg"}).json()["upload"]
    file = {"file": File.photograph(name).content}
    requests.post(form["url"], form["fields"], files=file, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def window(system: System) -> str:
    """Publish 30 items, 7 of which have pictures. Return the address of the catalogue's page."""
    delete_all_items(system)
    for number in range(1, 24):
        create_item(system, title=f"Postcard {number}", price=number, visibility="public")
    for name, fields in PICTURES.items():
        add_picture(system, create_item(system, **fields, visibility="public")["id"], name)
    about = "Photographs from public archives, printed by hand.\nWe send them anywhere."
    catalogue = request("PATCH", f"{system.url}/catalogue", {"title": "The Print Room", "text": about}).json()
    items = f"{system.url}/catalogues/{catalogue['id']}/items"

    def pictured() -> bool:
        return sum("image" in item for item in request("GET", items).json()["items"]) == len(PICTURES)

    eventually(pictured, 60)
    return str(catalogue["url"])


def check_layout(page: Page) -> None:
    page.wait_for_function(ARE_DRAWN)
    assert page.evaluate(OVERFLOWING) == [0]
    assert serious_faults(page) == []


def test_visit_with_javascript(window: str, tab: Tab) -> None:
    page = tab.page
    titles = page.locator(".card h2")
    page.goto(window)
    check_layout(page)
    take_screenshot(page, "visitors")

    # Further items are loaded while one scrolls.
    page.locator(".card").last.scroll_into_view_if_needed()
    expect(titles).to_have_count(30)
    expect(page.locator("#announcer")).to_have_text("6 more items")
    expect(page.locator(".more")).to_have_count(0)

    # Search, and go back to all items.
    page.get_by_role("searchbox").press_sequentially("spa", delay=20)
    expect(titles).to_have_text(["Lift-off", "Craters at noon", "Hubble Deep Field", "Eileen Collins"])
    expect(page).to_have_url(f"{window}?q=spa")
    expect(page.locator("#announcer")).to_have_text("Items that match “spa”")

    # An item, its neighbours, and back.
    page.get_by_role("link", name="Craters at noon").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Craters at noon")
    expect(heading).to_be_focused()
    expect(page).to_have_title("Craters at noon · The Print Room")
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text("Hubble Deep Field")
    expect(page).to_have_url(re.compile(f"^{re.escape(window)}/[0-9a-f-]+$"))
    check_layout(page)
    take_screenshot(page, "visitors-item")
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{window}?q=spa")
    expect(page.get_by_role("link", name="Hubble Deep Field")).to_be_focused()
    page.go_back()
    expect(page).to_have_url(window)
    expect(titles).to_have_count(24)
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_visit_on_a_phone_in_the_dark(window: str, tab: Tab) -> None:
    page = tab.page
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(window)
    check_layout(page)
    assert page.evaluate(SMALL_INPUTS) == page.evaluate(SMALL_TARGETS) == []
    page.get_by_role("link", name="Hubble Deep Field").click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    check_layout(page)
    tab.expect_fault("404")
    page.goto(f"{window}/gone")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    check_layout(page)
    page.get_by_role("link", name="To the catalogue").click()
    expect(page).to_have_title("The Print Room")


def test_visit_without_javascript(window: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    titles = page.locator(".card h2")
    page.goto(window)
    page.get_by_role("link", name="More").click()
    expect(titles.last).to_have_text("Postcard 1")
    page.get_by_role("link", name="Show all").click()
    expect(titles).to_have_count(24)
    page.get_by_role("searchbox").fill("postcard 7")
    page.get_by_role("button", name="Search").click()
    expect(titles).to_have_text(["Postcard 7"])
    page.get_by_role("link", name="Postcard 7").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Postcard 7")
    page.get_by_role("link", name="The Print Room").click()
    expect(titles).to_have_count(24)
    context.close()
