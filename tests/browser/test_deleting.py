"""Deleting in the console: seconds to undo it, and what may happen in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import System, item_of, made
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
    """Lets that many seconds go by on the page's own clock."""
    return lambda seconds: tab.page.clock.run_for(int(seconds * 1000))


def delete(tab: Tab, title: str) -> None:
    tab.open_item(title)
    tab.press("Delete")
    expect(tab.dialog).to_be_hidden()
    expect(tab.card(title)).to_have_count(0)


def is_there(system: System, item: dict[str, str]) -> bool:
    return request("GET", f"{system.url}/items/{item['id']}").status == 200


def test_an_item_is_deleted_when_the_time_to_undo_is_over(
    system: System, tab: Tab, wait: Callable[[float], None]
) -> None:
    tab.create("Leaving")
    item = item_of(system, "Leaving")
    delete(tab, "Leaving")
    wait(SECONDS_TO_UNDO - 1)
    assert is_there(system, item)
    wait(2)

    assert eventually(lambda: not is_there(system, item))
    expect(tab.tray.get_by_role("listitem")).to_have_count(0)


@pytest.mark.parametrize("way", ["button", "keys"])
def test_undone_it_stays(system: System, tab: Tab, wait: Callable[[float], None], way: str) -> None:
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

    assert is_there(system, item_of(system, f"Kept by {way}"))


def test_the_ordinary_delete_is_not_in_the_way_of_typing(tab: Tab) -> None:
    tab.create("Typed over")
    delete(tab, "Typed over")
    tab.press("New item")
    tab.field("title").fill("Another")
    tab.page.keyboard.press("Control+z")

    expect(tab.card("Typed over")).to_have_count(0)


def test_several_come_back_where_they_were(system: System, tab: Tab) -> None:
    for n in (1, 2, 3, 4):
        made(system, title=f"Number {n}")
    tab.open(system.url)
    delete(tab, "Number 3")
    delete(tab, "Number 2")
    tab.tray.get_by_role("listitem").filter(has_text="Number 3").get_by_role("button", name="Undo").click()
    expect(tab.card("Number 3")).to_be_visible()
    tab.page.keyboard.press("Control+z")
    expect(tab.card("Number 2")).to_be_visible()

    assert tab.titles()[:4] == ["Number 4", "Number 3", "Number 2", "Number 1"]


def test_it_is_too_late_to_undo_once_the_api_was_asked(system: System, tab: Tab, wait: Callable[[float], None]) -> None:
    tab.create("Too late")
    item = item_of(system, "Too late")
    delete(tab, "Too late")
    held = tab.hold("DELETE", "**/items/*")
    wait(SECONDS_TO_UNDO + 1)
    held.await_one()
    tab.page.keyboard.press("Control+z")
    held.release()

    assert eventually(lambda: not is_there(system, item))
    expect(tab.card("Too late")).to_have_count(0)


def test_a_picture_that_is_rendered_meanwhile_does_not_keep_it(
    system: System, tab: Tab, wait: Callable[[float], None]
) -> None:
    tab.create("With a picture")
    item = item_of(system, "With a picture")
    delete(tab, "With a picture")
    request("POST", f"{system.url}/items/{item['id']}/image", {"contentType": "image/png"})
    assert item_of(system, "With a picture")["version"] > item["version"]
    tab.expect_fault("412")
    wait(SECONDS_TO_UNDO + 1)

    assert eventually(lambda: not is_there(system, item))
    expect(tab.tray.get_by_role("alert")).to_have_count(0)


def test_what_somebody_else_has_written_meanwhile_is_not_deleted_unseen(
    system: System, tab: Tab, wait: Callable[[float], None]
) -> None:
    tab.expect_fault("412")
    tab.create("Written on")
    item = item_of(system, "Written on")
    delete(tab, "Written on")
    request("PUT", f"{system.url}/items/{item['id']}", {"title": "Written on by another"})
    wait(SECONDS_TO_UNDO + 1)

    expect(tab.card("Written on by another")).to_be_visible()
    expect(tab.tray.get_by_role("alert")).to_contain_text("changed")
    assert is_there(system, item)


def test_what_could_not_be_deleted_comes_back_and_says_why(
    system: System, tab: Tab, wait: Callable[[float], None]
) -> None:
    tab.expect_fault("503")
    tab.create("Undeletable")
    delete(tab, "Undeletable")
    held = tab.hold("DELETE", "**/items/*")
    wait(SECONDS_TO_UNDO + 1)
    held.await_one()
    held.refuse(503, error="UNAVAILABLE", message="Not now.")

    expect(tab.card("Undeletable")).to_be_visible()
    expect(tab.tray.get_by_role("alert")).to_contain_text("Not now.")


def test_what_is_deleted_is_gone_even_if_the_page_is_left_at_once(system: System, tab: Tab) -> None:
    tab.create("Gone")
    item = item_of(system, "Gone")
    delete(tab, "Gone")
    tab.page.goto(f"{system.url}/docs")

    assert eventually(lambda: not is_there(system, item))
