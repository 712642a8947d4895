"""Responses that are slow, late or missing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import System, create_item, find_item
from tests.browser.tab import File, Tab
from tests.e2e.system import request

THIRTY = range(30)


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> None:
    tab.open(system.url)


class TestNextPage:
    @pytest.fixture(autouse=True)
    def thirty_items(self, system: System) -> None:
        for n in THIRTY:
            create_item(system, title=f"Leaf {n}")

    def test_failed_page_is_not_requested_again(self, system: System, tab: Tab) -> None:
        tab.expect_fault("429")
        requests: list[str] = []

        def refuse(route: Route) -> None:
            requests.append(route.request.url)
            route.fulfill(status=429, json={"error": "THROTTLED", "message": "Too many requests.", "requestId": "r"})

        tab.page.route("**/items?*cursor=*", refuse)
        tab.open(system.url)
        tab.page.mouse.wheel(0, 20_000)
        expect(tab.page.get_by_role("alert")).to_be_in_viewport()
        tab.page.mouse.wheel(0, -200)
        tab.page.mouse.wheel(0, 20_000)
        tab.page.wait_for_timeout(1500)
        assert len(requests) == 1

        tab.page.unroute("**/items?*cursor=*", refuse)
        tab.press("Try again")
        expect(tab.card("Leaf 0").first).to_be_visible()
        expect(tab.page.get_by_role("alert")).to_have_count(0)

    def test_page_is_loaded_when_online_again(self, system: System, tab: Tab) -> None:
        tab.expect_fault("ERR_INTERNET_DISCONNECTED")
        tab.page.set_viewport_size({"width": 390, "height": 500})
        tab.open(system.url)
        tab.go_offline()
        tab.page.mouse.wheel(0, 20_000)
        expect(tab.page.get_by_role("alert")).to_contain_text("You are offline.")
        tab.go_online()

        expect(tab.card("Leaf 0").first).to_be_attached()


class TestOpening:
    @pytest.mark.parametrize("answer", ["an item", "a refusal"])
    def test_late_item_does_not_replace_a_form(self, system: System, tab: Tab, answer: str) -> None:
        typed = f"Half a thought, with {answer}"
        create_item(system, title=f"Late, with {answer}")
        tab.open(system.url)
        held = tab.hold("GET", "**/items/*")
        tab.view_item(f"Late, with {answer}")
        held.await_one()
        tab.page.keyboard.press("Escape")
        tab.press("New item")
        tab.field("title").fill(typed)
        if answer == "an item":
            held.release()
        else:
            tab.expect_fault("503")
            held.refuse(503, error="UNAVAILABLE", message="Not now.")
        tab.page.wait_for_timeout(1000)

        expect(tab.field("title")).to_have_value(typed)
        tab.press("Create")
        expect(tab.card(typed)).to_be_visible()


def test_module_that_fails_to_load_is_reported(system: System, tab: Tab) -> None:
    tab.expect_fault("ERR_FAILED")
    create_item(system, title="Seen all the same")
    tab.page.route("**/web/keyboard.js", lambda route: route.abort())
    tab.open(system.url)

    expect(tab.page.get_by_role("alert")).to_contain_text("could not be loaded")
    expect(tab.card("Seen all the same")).to_be_visible()
    tab.press("New item")


def test_form_that_fails_to_load_is_reported(system: System, tab: Tab) -> None:
    tab.expect_fault("ERR_FAILED")
    tab.page.route("**/web/item-form.js", lambda route: route.abort())
    tab.open(system.url)
    tab.press("New item")

    expect(tab.page.get_by_role("alert")).to_contain_text("could not be loaded")


class TestSaving:
    def test_form_is_disabled_while_it_is_saved(self, system: System, tab: Tab) -> None:
        create_item(system, title="Slow")
        tab.open(system.url)
        tab.open_item("Slow")
        tab.field("title").fill("Slowly saved")
        held = tab.hold("PUT", "**/items/*")
        tab.press("Save")
        held.await_one()
        tab.page.keyboard.type("and more")
        tab.page.keyboard.press("Escape")
        tab.page.keyboard.press("Escape")
        expect(tab.dialog).to_be_visible()
        expect(tab.field("title")).to_have_value("Slowly saved")
        expect(tab.dialog.get_by_role("button", name="Discard")).to_have_count(0)
        held.release()

        expect(tab.card("Slowly saved")).to_be_visible()
        assert find_item(system, "Slowly saved")["version"] == 2

    def test_failed_save_keeps_the_form(self, system: System, tab: Tab) -> None:
        tab.expect_fault("503")
        create_item(system, title="Stubborn")
        tab.open(system.url)
        tab.open_item("Stubborn")
        tab.field("title").fill("Stubborn still")
        held = tab.hold("PUT", "**/items/*")
        tab.page.keyboard.press("Tab")
        tab.dialog.get_by_role("button", name="Save").focus()
        tab.page.keyboard.press("Enter")
        held.await_one()
        held.refuse(503, error="UNAVAILABLE", message="Not now.")

        expect(tab.dialog.get_by_role("alert")).to_contain_text("Not now.")
        expect(tab.dialog.get_by_role("button", name="Save")).to_be_focused()
        tab.page.keyboard.press("Enter")
        expect(tab.card("Stubborn still")).to_be_visible()


def test_retried_upload_creates_one_item(system: System, tab: Tab) -> None:
    tab.expect_fault("ERR_FAILED")

    def lose_the_answer(route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        route.fetch()
        return route.abort()

    tab.page.route("**/items", lose_the_answer, times=1)
    tab.drop("main", File.photograph("moon", "Only once"))
    tab.tray.get_by_role("button", name="Try again").click()
    tab.expect_picture("Only once")

    found = request("GET", f"{system.url}/items?limit=100").json()["items"]
    assert [item.get("title") for item in found].count("Only once") == 1


def test_form_opens_offline(system: System, tab: Tab) -> None:
    tab.expect_fault("ERR_INTERNET_DISCONNECTED")
    tab.open(system.url)
    tab.go_offline()
    tab.press("New item")

    expect(tab.field("title")).to_be_visible()
