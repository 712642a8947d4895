"""The console, as people use it in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from tests.browser.conftest import System, empty, item_of, made
from tests.browser.looks import Shots, serious_faults
from tests.browser.tab import File, Tab
from tests.e2e.system import request

NOT_A_PICTURE = File("Torn.jpg", "image/jpeg", b"\xff\xd8\xff and nothing else that a JPEG has")


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> None:
    tab.open(system.url)


class TestItems:
    def test_an_item_is_made_of_fields_and_stands_first(self, system: System, tab: Tab) -> None:
        tab.press("New item")
        tab.field("title").fill("Blue vase")
        tab.press("Add a field")
        tab.dialog.get_by_label("Name of the field").last.fill("price")
        tab.dialog.get_by_label("Type of the field").last.select_option("number")
        tab.field("price").fill("19.90000000000000000001")
        tab.press("Create")

        expect(tab.page.locator(".card").first).to_contain_text("Blue vase")
        expect(tab.page.locator(".card").first).to_contain_text("19.90000000000000000001")
        item = item_of(system, "Blue vase")
        raw = request("GET", f"{system.url}/items/{item['id']}").body.decode()
        assert '"price":19.90000000000000000001' in raw

    def test_what_is_wrong_is_said_where_it_is(self, tab: Tab) -> None:
        tab.press("New item")
        tab.dialog.get_by_label("Type of the field").select_option("number")
        tab.field("title").fill("ten")
        tab.press("Create")

        assert "not a number" in tab.field("title").evaluate("field => field.validationMessage")

    def test_what_the_api_refuses_is_said_in_its_words(self, tab: Tab) -> None:
        tab.expect_fault("400")
        tab.press("New item")
        tab.dialog.get_by_label("Name of the field").fill("version")
        tab.press("Create")

        expect(tab.dialog.get_by_role("alert")).to_contain_text("version is managed by Vitrine")

    def test_raw_json_and_the_form_are_one(self, system: System, tab: Tab) -> None:
        made(system, title="Raw", sizes=[1, 2])
        tab.open(system.url)
        tab.open_item("Raw")
        tab.dialog.get_by_role("tab", name="JSON").click()
        area = tab.dialog.get_by_label("The item's fields as JSON")
        assert json.loads(area.input_value()) == {"title": "Raw", "sizes": [1, 2]}
        area.fill('{"title": "Raw", "sizes": [3], "deep": {"er": null}}')
        tab.dialog.get_by_role("tab", name="Fields").click()
        expect(tab.field("sizes")).to_have_value(re.compile("3"))
        tab.save()

        item = item_of(system, "Raw")
        assert (item["sizes"], item["deep"]) == ([3], {"er": None})

    def test_the_focus_is_not_lost_with_the_last_field(self, tab: Tab) -> None:
        tab.press("New item")
        tab.press("Remove the field title")

        expect(tab.dialog.get_by_role("button", name="Add a field")).to_be_focused()

    def test_a_field_of_yes_or_no_is_a_switch(self, system: System, tab: Tab) -> None:
        made(system, title="Switched", framed=False)
        tab.open(system.url)
        tab.open_item("Switched")
        tab.dialog.get_by_role("switch", name="Value of framed").check()
        tab.save()

        assert item_of(system, "Switched")["framed"] is True

    def test_an_expiry_is_set_by_the_calendar_and_taken_off_again(self, system: System, tab: Tab) -> None:
        made(system, title="On loan")
        tab.open(system.url)
        tab.open_item("On loan")
        tab.press("Set an expiry")
        tab.dialog.get_by_label("Expires", exact=True).fill("2100-01-31T12:00")
        assert serious_faults(tab.page) == []
        tab.save()
        assert item_of(system, "On loan")["expiresAt"].startswith("2100-01-")
        expect(tab.dialog).to_contain_text("Expires")
        tab.press("Edit")
        tab.press("Never expire")
        expect(tab.dialog.get_by_role("button", name="Set an expiry")).to_be_visible()
        tab.save()

        assert "expiresAt" not in item_of(system, "On loan")

    def test_a_time_that_nobody_touches_stays_as_it_was_written(self, system: System, tab: Tab) -> None:
        made(system, title="Timed", seen="2026-05-01T12:00:00.123+02:00")
        tab.open(system.url)
        tab.open_item("Timed")
        tab.field("title").fill("Timed well")
        tab.save()

        assert item_of(system, "Timed well")["seen"] == "2026-05-01T12:00:00.123+02:00"

    def test_a_field_may_be_called_as_anything_in_a_conflict(self, system: System, tab: Tab) -> None:
        tab.expect_fault("412")
        item = made(system, title="Built")
        tab.open(system.url)
        tab.open_item("Built")
        request("PUT", f"{system.url}/items/{item['id']}", {"title": "Built by another"})
        tab.press("Add a field")
        tab.dialog.get_by_label("Name of the field").last.fill("constructor")
        tab.field("constructor").fill("Ann")
        tab.press("Save")
        expect(tab.dialog).to_contain_text("Somebody else has changed this item")
        expect(tab.dialog.get_by_role("heading")).to_be_focused()
        tab.press("Save this")
        expect(tab.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()

        assert item_of(system, "Built by another")["constructor"] == "Ann"

    def test_two_who_change_one_item_see_theirs_and_yours(
        self, system: System, tab: Tab, new_tab: Callable[[], Tab], shots: Shots
    ) -> None:
        empty(system)
        made(system, title="Deep field", galaxies=5500, instrument="Hubble", framed=False)
        other = new_tab()
        for one in (tab, other):
            one.open(system.url)
            one.open_item("Deep field")
        other.expect_fault("412")

        tab.field("galaxies").fill("10000")
        tab.field("instrument").fill("Hubble Space Telescope")
        tab.save()
        other.field("galaxies").fill("3000")
        other.field("framed").check()
        other.press("Save")

        expect(other.dialog).to_contain_text("Somebody else has changed this item")
        expect(other.dialog.get_by_label("galaxies: keep yours")).to_be_checked()
        expect(other.dialog.get_by_label("instrument: keep theirs")).to_be_checked()
        assert serious_faults(other.page) == []
        shots.take(other.page, "conflict")
        other.dialog.get_by_label("galaxies: keep theirs").check()
        other.press("Save this")
        expect(other.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()
        item = item_of(system, "Deep field")
        assert (item["galaxies"], item["instrument"], item["framed"]) == (10000, "Hubble Space Telescope", True)


def fits(tab: Tab) -> bool:
    fitting: bool = tab.dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth + 1")
    return fitting


def tab_to(tab: Tab, target: Locator) -> None:
    """Goes there by the Tab key."""
    expect(target).to_be_visible()
    for _ in range(30):
        if target.evaluate("one => one === document.activeElement"):
            return
        tab.page.keyboard.press("Tab")
    expect(target).to_be_focused()


class TestGallery:
    def test_is_newest_first_and_goes_on_by_scrolling(self, system: System, tab: Tab) -> None:
        for n in range(80):
            made(system, title=f"Row {n}")
        tab.open(system.url)
        titles = tab.page.locator(".card h2")
        expect(titles.first).to_have_text("Row 79")
        before = titles.count()
        while tab.card("Row 0").count() == 0:
            tab.page.mouse.wheel(0, 20_000)
            tab.page.wait_for_timeout(100)

        assert before < 80
        assert [text for text in titles.all_inner_texts() if text.startswith("Row")] == [
            f"Row {n}" for n in reversed(range(80))
        ]

    def test_keyboard_alone_will_do(self, tab: Tab) -> None:
        tab.create("By keyboard")
        tab.card("By keyboard").get_by_role("link").focus()
        tab.page.keyboard.press("Enter")
        tab_to(tab, tab.dialog.get_by_role("button", name="Edit", exact=True))
        tab.page.keyboard.press("Enter")
        expect(tab.dialog.locator(".item-form")).to_be_visible()
        tab_to(tab, tab.field("title"))
        tab.page.keyboard.press("Control+A")
        tab.page.keyboard.type("By keys alone")
        tab.page.keyboard.press("Escape")
        expect(tab.dialog.get_by_text("not saved")).to_be_visible()
        tab.page.keyboard.press("Enter")
        expect(tab.dialog.locator(".item-form")).to_be_hidden()
        tab.page.keyboard.press("Escape")
        expect(tab.dialog).to_be_hidden()
        expect(tab.card("By keyboard").get_by_role("link")).to_be_focused()

    @pytest.mark.parametrize("width", [320, 390, 768, 1920])
    def test_fits_every_screen(self, system: System, tab: Tab, width: int) -> None:
        tab.page.set_viewport_size({"width": width, "height": 700})
        tab.create(f"Seen at {width}, with a name that goes on and on and on, as names sometimes do")

        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_faults(tab.page) == []
        tab.page.locator(".card a").first.click()
        expect(tab.dialog.get_by_role("button", name="Edit", exact=True)).to_be_in_viewport()
        assert fits(tab)
        assert serious_faults(tab.page) == []
        tab.press("Edit")
        expect(tab.dialog.locator(".item-form")).to_be_visible()
        assert fits(tab)
        assert serious_faults(tab.page) == []

    def test_is_dark_where_people_want_it_dark(self, tab: Tab) -> None:
        tab.page.emulate_media(color_scheme="dark")
        tab.create("In the dark")
        ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")

        assert all(int(part) < 60 for part in re.findall(r"\d+", ground)[:3])
        assert serious_faults(tab.page) == []
        tab.open_item("In the dark")
        assert serious_faults(tab.page) == []


class TestPictures:
    def test_a_photograph_that_is_dropped_becomes_a_thumbnail(self, system: System, tab: Tab) -> None:
        tab.create("Rocket")
        tab.drop(tab.card("Rocket"), File.photograph("rocket"))
        entry = tab.tray.locator("li")
        expect(entry.get_by_role("progressbar")).to_have_accessible_name("rocket.jpg")
        expect(entry).to_contain_text("Ready", timeout=60_000)

        tab.expect_picture("Rocket")
        image = item_of(system, "Rocket")["image"]
        assert (image["status"], image["width"]) == ("ready", 600)

    def test_several_at_once_become_an_item_each(self, tab: Tab, tmp_path: Path) -> None:
        for name in ("coffee", "moon"):
            (tmp_path / f"My {name}.jpg").write_bytes(File.photograph(name).content)
        with tab.page.expect_file_chooser() as chooser:
            tab.press("Add pictures")
        assert chooser.value.is_multiple()
        chooser.value.set_files(sorted(tmp_path.iterdir()))

        expect(tab.tray.locator("li")).to_have_count(2)
        for name in ("coffee", "moon"):
            tab.expect_picture(f"My {name}")

    def test_a_picture_is_pasted_into_a_new_item(self, tab: Tab) -> None:
        tab.press("New item")
        tab.field("title").fill("Pasted cat")
        tab.paste(File.photograph("chelsea"))
        expect(tab.dialog.locator(".frame.large img")).to_be_visible()
        tab.press("Create")

        tab.expect_picture("Pasted cat")

    def test_a_broken_one_says_why(self, tab: Tab) -> None:
        tab.drop("main", NOT_A_PICTURE)

        expect(tab.tray.get_by_role("alert")).to_contain_text("cannot be read as a picture", timeout=60_000)
        expect(tab.card("Torn")).to_contain_text("Picture failed")
        tab.view_item("Torn")
        expect(tab.dialog.locator(".picture-error")).to_contain_text("cannot be read as a picture")
        assert serious_faults(tab.page) == []

    def test_a_file_of_another_kind_is_refused_at_once(self, tab: Tab) -> None:
        tab.drop("main", File("Minutes.pdf", "application/pdf", b"%PDF-1.7"))

        expect(tab.tray.get_by_role("alert")).to_contain_text("This is not a picture")
        expect(tab.card("Minutes")).to_have_count(0)

    def test_a_picture_can_be_taken_off_again(self, system: System, tab: Tab) -> None:
        tab.create("Moon")
        tab.drop(tab.card("Moon"), File.photograph("moon"))
        tab.expect_picture("Moon")
        tab.open_item("Moon")
        tab.press("Remove the picture")
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()

        expect(tab.dialog.locator(".frame.large img")).to_have_count(0)
        assert "image" not in item_of(system, "Moon")


class TestImports:
    def test_lists_the_lines_that_are_bad(self, system: System, tab: Tab, shots: Shots) -> None:
        empty(system)
        tab.open(system.url)
        things = (
            "Amber bowl, Brass lamp, Cedar box, , Elm chair, Felt hat, Glass bead, Horn comb, , Jade ring, Knot, Linen"
        )
        lines = [json.dumps({"title": thing, "shelf": n}) for n, thing in enumerate(things.split(", "), 1)]
        lines[3], lines[8] = '{"title": "No end', '{"id": 7}'
        tab.drop("main", File("winter.ndjson", "", "\n".join(lines).encode()))
        expect(tab.tray).to_contain_text("10 items created, 2 failed", timeout=60_000)

        bad = tab.tray.locator(".failed-lines li")
        assert [bad.nth(n).get_attribute("value") for n in range(2)] == ["4", "9"]
        expect(bad.nth(1)).to_contain_text("RESERVED_FIELD")
        expect(tab.card("Linen")).to_be_visible()
        assert serious_faults(tab.page) == []
        shots.take(tab.page, "import")


class TestTrouble:
    def test_being_offline_is_said_and_nothing_typed_is_lost(
        self, system: System, tab: Tab, context: BrowserContext
    ) -> None:
        tab.expect_fault("ERR_INTERNET_DISCONNECTED")
        tab.press("New item")
        tab.field("title").fill("Typed in a tunnel")
        context.set_offline(True)
        tab.press("Create")
        expect(tab.dialog.get_by_role("alert")).to_contain_text("You are offline.")
        expect(tab.page.locator("#offline")).to_be_visible()

        context.set_offline(False)
        expect(tab.page.locator("#offline")).to_be_hidden()
        tab.press("Create")
        expect(tab.card("Typed in a tunnel")).to_be_visible()

    def test_an_api_in_trouble_can_be_asked_again(self, system: System, tab: Tab) -> None:
        tab.expect_fault("500")
        refusal = {"error": "INTERNAL_ERROR", "message": "Something failed here.", "requestId": "request-1"}
        tab.page.route("**/items?*", lambda route: route.fulfill(status=500, json=refusal), times=1)
        tab.page.goto(f"{system.url}/")

        expect(tab.page.get_by_role("alert")).to_contain_text("Something failed here.")
        expect(tab.page.get_by_role("alert")).to_contain_text("request-1")
        assert serious_faults(tab.page) == []
        tab.press("Try again")
        expect(tab.page.locator(".card").first).to_be_visible()

    def test_an_item_that_somebody_deleted_meanwhile_says_so(self, system: System, tab: Tab) -> None:
        tab.expect_fault("404")
        tab.create("Fleeting")
        request("DELETE", f"{system.url}/items/{item_of(system, 'Fleeting')['id']}")
        tab.card("Fleeting").get_by_role("link").click()

        expect(tab.dialog).to_contain_text("There is no item")


def test_it_works_below_a_stages_path(system: System, new_tab: Callable[[], Tab]) -> None:
    tab = new_tab()
    # The emulator starts a process for each request at once, and the first takes a while: so one after another.
    tab.page.set_default_timeout(90_000)
    tab.page.route(f"{system.packaged}/**", lambda route: route.fulfill(response=route.fetch()))
    tab.page.goto(f"{system.packaged}/")
    tab.create("Below a path")
    tab.page.get_by_role("link", name="API").click()
    expect(tab.page.get_by_role("heading", name="Vitrine API")).to_be_visible()
    tab.page.get_by_role("link", name="Console").click()

    expect(tab.card("Below a path")).to_be_visible()
    assert tab.page.url == f"{system.packaged}/"
