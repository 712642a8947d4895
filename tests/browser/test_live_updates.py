"""What others change is shown without a reload."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items
from tests.browser.tab import File, Tab
from tests.e2e.system import request


def test_changes_of_others_are_shown(system: System, tab: Tab) -> None:
    delete_all_items(system)
    bench, stool, table = (create_item(system, title=title) for title in ("Bench", "Stool", "Table"))
    with tab.page.expect_response("**/changes"):
        tab.open(system.url)
    for title in ("Bench", "Stool"):
        tab.card(title).hover()
        tab.card(title).get_by_role("checkbox").check()
    tab.page.get_by_role("searchbox").focus()
    untouched = tab.card("Stool").element_handle()

    request("PATCH", f"{system.url}/items/{table['id']}", {"title": "Desk"})
    request("DELETE", f"{system.url}/items/{bench['id']}")
    tab.page.locator("header").hover()
    create_item(system, title="Chair")
    expect(tab.page.locator(".card h2")).to_have_text(["Chair", "Desk", "Stool"])
    expect(tab.page.get_by_text("1 selected")).to_be_visible()
    expect(tab.page.locator("#count")).to_have_text("3 items")
    expect(tab.page.get_by_role("searchbox")).to_be_focused()
    assert untouched.evaluate("card => card.isConnected")

    tab.open_item("Stool")
    tab.field("title").fill("Footstool")
    request("PATCH", f"{system.url}/items/{stool['id']}", {"wood": "ash"})
    expect(tab.dialog.get_by_text("Someone else changed this item. What you typed stays.")).to_be_visible()
    expect(tab.field("title")).to_have_value("Footstool")
    assert serious_faults(tab.page) == []
    tab.press("Compare")
    expect(tab.dialog.get_by_label("wood: keep theirs")).to_be_checked()
    tab.press("Save these values")
    expect(tab.dialog.get_by_role("heading", name="Footstool")).to_be_visible()
    expect(tab.dialog).to_contain_text("Woodash")


def test_picture_of_another_page_is_shown_when_it_is_ready(system: System, tab: Tab, new_tab) -> None:
    delete_all_items(system)
    create_item(system, title="Moon")
    other = new_tab()
    for one in (tab, other):
        one.open(system.url)
    other.drop(other.card("Moon"), File.photograph("moon"))

    tab.expect_picture("Moon")
