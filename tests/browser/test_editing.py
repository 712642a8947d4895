"""The item form: what is saved."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import System, create_item
from tests.browser.tab import Tab
from tests.e2e.system import request


def test_unchanged_line_ends_are_saved_as_they_were(system: System, tab: Tab) -> None:
    item = create_item(system, title="Line ends", note="one\r\ntwo\rthree\n")
    tab.open(system.url)
    tab.open_item("Line ends")
    tab.field("title").fill("Other line ends")
    tab.save()

    saved = request("GET", f"{system.url}/items/{item['id']}").json()
    assert (saved["title"], saved["note"]) == ("Other line ends", "one\r\ntwo\rthree\n")


def test_replacement_character_is_saved(system: System, tab: Tab) -> None:
    # The API accepts it only escaped, and JSON.stringify does not escape it.
    item = create_item(system, title="Replaced", note="K\ufffdse")
    tab.open(system.url)
    tab.open_item("Replaced")
    tab.field("title").fill("Still replaced")
    tab.save()

    saved = request("GET", f"{system.url}/items/{item['id']}").json()
    assert (saved["title"], saved["note"]) == ("Still replaced", "K\ufffdse")


def test_field_named_constructor_is_compared(system: System, tab: Tab) -> None:
    tab.expect_fault("412")
    item = create_item(system, title="Odd names")
    tab.open(system.url)
    tab.open_item("Odd names")
    tab.press("Add a field")
    tab.dialog.get_by_label("Name of the field").last.fill("constructor")
    tab.field("constructor").fill("Mine")
    request("PUT", f"{system.url}/items/{item['id']}", {"title": "Odd names", "seen": True})
    tab.press("Save")

    expect(tab.dialog.get_by_label("constructor: keep yours")).to_be_checked()
    tab.press("Save these values")
    expect(tab.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()
    saved = request("GET", f"{system.url}/items/{item['id']}").json()
    assert (saved["constructor"], saved["seen"]) == ("Mine", True)
