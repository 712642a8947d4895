"""Deleting items, which can be undone for some seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import System, create_item, find_item
from tests.browser.tab import Tab
from tests.e2e.system import request
from tests.e2e.waiting import eventually

SECONDS_TO_UNDO = 8


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> None:
    tab.page.clock.install()
    tab.open(system.url)


@pytest.fixture
def wait(tab: Tab) -> Callable[[float], None]:
    """Return a function that advances the page's clock by seconds."""
    return lambda seconds: tab.page.clock.run_for(int(seconds * 1000))


def delete(tab: Tab, title: str) -> None:
    tab.open_item(title)
    tab.press("Delete")
    expect(tab.dialog).to_be_hidden()
    expect(tab.card(title)).to_have_count(0)


def is_there(system: System, item: dict[str, str]) -> bool:
    return request("GET", f"{system.url}/items/{item['id']}").status == 200


def test_item_is_deleted_after_the_time_to_undo(system: System, tab: Tab, wait: Callable[[float], None]) -> None:
    tab.create("Leaving")
    item = find_item(system, "Leaving")
    delete(tab, "Leaving")
    wait(SECONDS_TO_UNDO - 1)
    assert is_there(system, item)
    wait(2)

    assert eventually(lambda: not is_there(system, item))
    expect(tab.tray.get_by_role("listitem")).to_have_count(0)


@pytest.mark.parametrize("way", ["button", "keys"])
def test_undo_keeps_the_item(system: System, tab: Tab, wait: Callable[[float], None], way: str) -> None:
    tab.create(f"Kept by {way}")
    delete(tab, f"Kept by {way}")
    if way == "button":
        tab.tray.get_by_role("button", name="Undo").click()
    else:
        tab.page.keyboard.press("Control+z")
    expect(tab.card(f"Kept by {way}")).to_be_visible()
    expect(tab.card(f"Kept by {way}").get_by_role("link")).to_be_focused()
    wait(3 * SECONDS_TO_UNDO)
    tab.page.wait_for_timeout(500)

    assert is_there(system, find_item(system, f"Kept by {way}"))


def test_control_z_in_a_field_undoes_typing_only(tab: Tab) -> None:
    tab.create("Typed over")
    delete(tab, "Typed over")
    tab.press("New item")
    tab.field("title").fill("Another")
    tab.page.keyboard.press("Control+z")

    expect(tab.card("Typed over")).to_have_count(0)


def test_undo_restores_the_order(system: System, tab: Tab) -> None:
    for n in (1, 2, 3, 4):
        create_item(system, title=f"Number {n}")
    tab.open(system.url)
    delete(tab, "Number 3")
    delete(tab, "Number 2")
    tab.tray.get_by_role("listitem").filter(has_text="Number 3").get_by_role("button", name="Undo").click()
    expect(tab.card("Number 3")).to_be_visible()
    tab.page.keyboard.press("Control+z")
    expect(tab.card("Number 2")).to_be_visible()

    assert tab.titles()[:4] == ["Number 4", "Number 3", "Number 2", "Number 1"]


def test_undo_ends_when_the_api_is_called(system: System, tab: Tab, wait: Callable[[float], None]) -> None:
    tab.create("Too late")
    item = find_item(system, "Too late")
    delete(tab, "Too late")
    held = tab.hold("DELETE", "**/items/*")
    wait(SECONDS_TO_UNDO + 1)
    held.await_one()
    tab.page.keyboard.press("Control+z")
    held.release()

    assert eventually(lambda: not is_there(system, item))
    expect(tab.card("Too late")).to_have_count(0)


def test_change_of_the_picture_does_not_stop_the_delete(
    system: System, tab: Tab, wait: Callable[[float], None]
) -> None:
    tab.create("With a picture")
    item = find_item(system, "With a picture")
    delete(tab, "With a picture")
    request("POST", f"{system.url}/items/{item['id']}/image", {"contentType": "image/png"})
    assert find_item(system, "With a picture")["version"] > item["version"]
    tab.expect_fault("412")
    wait(SECONDS_TO_UNDO + 1)

    assert eventually(lambda: not is_there(system, item))
    expect(tab.tray.get_by_role("alert")).to_have_count(0)


def test_changed_item_is_not_deleted(system: System, tab: Tab, wait: Callable[[float], None]) -> None:
    tab.expect_fault("412")
    tab.create("Written on")
    item = find_item(system, "Written on")
    delete(tab, "Written on")
    request("PUT", f"{system.url}/items/{item['id']}", {"title": "Written on by another"})
    wait(SECONDS_TO_UNDO + 1)

    expect(tab.card("Written on by another")).to_be_visible()
    expect(tab.tray.get_by_role("alert")).to_contain_text("changed")
    assert is_there(system, item)


def test_failed_delete_restores_the_card(system: System, tab: Tab, wait: Callable[[float], None]) -> None:
    tab.expect_fault("503")
    tab.create("Undeletable")
    delete(tab, "Undeletable")
    held = tab.hold("DELETE", "**/items/*")
    wait(SECONDS_TO_UNDO + 1)
    held.await_one()
    held.refuse(503, error="UNAVAILABLE", message="Not now.")

    expect(tab.card("Undeletable")).to_be_visible()
    expect(tab.tray.get_by_role("alert")).to_contain_text("Not now.")


def test_leaving_the_page_deletes_at_once(system: System, tab: Tab) -> None:
    tab.create("Gone")
    item = find_item(system, "Gone")
    delete(tab, "Gone")
    tab.page.goto(f"{system.url}/docs")

    assert eventually(lambda: not is_there(system, item))
