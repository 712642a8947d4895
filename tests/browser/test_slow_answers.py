"""The console where answers are slow, late, or come in another order than they were asked for."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.conftest import System, item_of, made
from tests.browser.tab import File, Tab
from tests.e2e.system import request

THIRTY = range(30)


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> None:
    tab.open(system.url)


class TestTheNextPage:
    @pytest.fixture(autouse=True)
    def thirty_items(self, system: System) -> None:
        for n in THIRTY:
            made(system, title=f"Leaf {n}")

    def test_is_not_asked_for_again_and_again_when_it_fails(self, system: System, tab: Tab) -> None:
        tab.expect_fault("429")
        asked: list[str] = []

        def refuse(route: Route) -> None:
            asked.append(route.request.url)
            route.fulfill(status=429, json={"error": "THROTTLED", "message": "Too many requests.", "requestId": "r"})

        tab.page.route("**/items?*cursor=*", refuse)
        tab.open(system.url)
        tab.page.mouse.wheel(0, 20_000)
        expect(tab.page.get_by_role("alert")).to_be_in_viewport()
        tab.page.mouse.wheel(0, -200)
        tab.page.mouse.wheel(0, 20_000)
        tab.page.wait_for_timeout(1500)
        assert len(asked) == 1

        tab.page.unroute("**/items?*cursor=*", refuse)
        tab.press("Try again")
        expect(tab.card("Leaf 0").first).to_be_visible()
        expect(tab.page.get_by_role("alert")).to_have_count(0)

    def test_comes_by_itself_when_the_line_is_back(self, system: System, tab: Tab, context: BrowserContext) -> None:
        tab.expect_fault("ERR_INTERNET_DISCONNECTED")
        tab.page.set_viewport_size({"width": 390, "height": 500})
        tab.open(system.url)
        context.set_offline(True)
        tab.page.mouse.wheel(0, 20_000)
        expect(tab.page.get_by_role("alert")).to_contain_text("You are offline.")
        context.set_offline(False)

        expect(tab.card("Leaf 0").first).to_be_attached()


class TestOpening:
    @pytest.mark.parametrize("answer", ["an item", "a refusal"])
    def test_an_item_that_comes_late_leaves_alone_what_is_being_typed(
        self, system: System, tab: Tab, answer: str
    ) -> None:
        made(system, title=f"Late, with {answer}")
        tab.open(system.url)
        held = tab.hold("GET", "**/items/*")
        tab.view_item(f"Late, with {answer}")
        held.await_one()
        tab.page.keyboard.press("Escape")
        tab.press("New item")
        tab.field("title").fill("Half a thought")
        if answer == "an item":
            held.release()
        else:
            tab.expect_fault("503")
            held.refuse(503, error="UNAVAILABLE", message="Not now.")
        tab.page.wait_for_timeout(1000)

        expect(tab.field("title")).to_have_value("Half a thought")
        tab.press("Create")
        expect(tab.card("Half a thought")).to_be_visible()


def test_a_part_that_cannot_be_loaded_is_said(system: System, tab: Tab) -> None:
    tab.expect_fault("ERR_FAILED")
    made(system, title="Seen all the same")
    tab.page.route("**/web/item-form.js", lambda route: route.abort())
    tab.open(system.url)

    expect(tab.page.get_by_role("alert")).to_contain_text("could not be loaded")
    expect(tab.card("Seen all the same")).to_be_visible()
    tab.press("New item")


class TestSaving:
    def test_nothing_can_be_typed_or_thrown_away_until_the_answer_is_there(self, system: System, tab: Tab) -> None:
        made(system, title="Slow")
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
        assert item_of(system, "Slowly saved")["version"] == 2

    def test_a_save_that_fails_gives_the_form_back_as_it_was(self, system: System, tab: Tab) -> None:
        tab.expect_fault("503")
        made(system, title="Stubborn")
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


def test_a_picture_tried_again_does_not_make_a_second_item(system: System, tab: Tab) -> None:
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
    assert [item["title"] for item in found].count("Only once") == 1
