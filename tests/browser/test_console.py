"""The console: items, gallery, pictures, imports, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items, find_item
from tests.browser.screenshots import take_screenshot
from tests.browser.tab import File, Tab
from tests.e2e.system import request

NOT_A_PICTURE = File("Torn.jpg", "image/jpeg", b"\xff\xd8\xff and nothing else that a JPEG has")


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> None:
    tab.open(system.url)


def add_field(tab: Tab, name: str, kind: str | None = None) -> None:
    """Add a field that is not declared to the open form. ``kind`` is the type that is chosen for it."""
    tab.press("Add a field")
    tab.dialog.get_by_label("Name of the field").last.fill(name)
    if kind:
        tab.dialog.get_by_label("Type of the field").last.select_option(kind)


class TestItems:
    def test_new_item_is_shown_first(self, system: System, tab: Tab) -> None:
        tab.press("New item")
        tab.field("title").fill("Blue vase")
        add_field(tab, "height", "number")
        tab.field("height").fill("19.90000000000000000001")
        tab.press("Create")

        expect(tab.page.locator(".card").first).to_contain_text("Blue vase")
        expect(tab.page.locator(".card").first).to_contain_text("19.90000000000000000001")
        item = find_item(system, "Blue vase")
        raw = request("GET", f"{system.url}/items/{item['id']}").body.decode()
        assert '"height":19.90000000000000000001' in raw

    def test_invalid_number_is_marked(self, tab: Tab) -> None:
        tab.press("New item")
        add_field(tab, "height", "number")
        tab.field("height").fill("ten")
        tab.press("Create")

        assert "Enter a number" in tab.field("height").evaluate("field => field.validationMessage")

    def test_error_of_the_api_is_shown(self, tab: Tab) -> None:
        tab.expect_fault("400")
        tab.press("New item")
        add_field(tab, "version")
        tab.press("Create")

        expect(tab.dialog.get_by_role("alert")).to_contain_text("version is managed by Vitrine")

    def test_json_and_rows_show_the_same_fields(self, system: System, tab: Tab) -> None:
        create_item(system, title="Raw", sizes=[1, 2])
        tab.open(system.url)
        tab.open_item("Raw")
        tab.dialog.get_by_role("tab", name="JSON").click()
        area = tab.dialog.get_by_label("The item's fields as JSON")
        assert json.loads(area.input_value()) == {"title": "Raw", "sizes": [1, 2]}
        area.fill('{"title": "Raw", "sizes": [3], "deep": {"er": null}}')
        tab.dialog.get_by_role("tab", name="Fields").click()
        expect(tab.field("sizes")).to_have_value(re.compile("3"))
        tab.save()

        item = find_item(system, "Raw")
        assert (item["sizes"], item["deep"]) == ([3], {"er": None})

    def test_focus_after_removing_the_last_field(self, tab: Tab) -> None:
        tab.press("New item")
        add_field(tab, "height")
        tab.press("Remove the field height")

        expect(tab.dialog.get_by_label("Visibility")).to_be_focused()

    def test_cleared_fields_are_removed(self, system: System, tab: Tab) -> None:
        create_item(system, title="Green jug", description="One\ntwo", price=5, tags=["glass", "green"])
        tab.open(system.url)
        tab.open_item("Green jug")
        assert tab.field("description").evaluate("field => field.localName") == "textarea"
        assert tab.field("price").get_attribute("inputmode") == "decimal"
        for label in ("Description", "Price", "Tags 1", "Tags 2"):
            tab.dialog.get_by_label(label, exact=True).fill("")
        tab.save()

        item = find_item(system, "Green jug")
        assert item["version"] == 2
        assert item.keys() & {"description", "price", "tags"} == set()

    def test_boolean_is_a_switch(self, system: System, tab: Tab) -> None:
        create_item(system, title="Switched", framed=False)
        tab.open(system.url)
        tab.open_item("Switched")
        tab.dialog.get_by_role("switch", name="Value of framed").check()
        tab.save()

        assert find_item(system, "Switched")["framed"] is True

    def test_expiry_is_set_and_removed(self, system: System, tab: Tab) -> None:
        create_item(system, title="On loan")
        tab.open(system.url)
        tab.open_item("On loan")
        tab.press("Set an expiry")
        tab.dialog.get_by_label("Expires", exact=True).fill("2100-01-31T12:00")
        assert serious_faults(tab.page) == []
        tab.save()
        assert find_item(system, "On loan")["expiresAt"].startswith("2100-01-")
        expect(tab.dialog).to_contain_text("Expires")
        tab.press("Edit")
        tab.press("Never expire")
        expect(tab.dialog.get_by_role("button", name="Set an expiry")).to_be_visible()
        tab.save()

        assert "expiresAt" not in find_item(system, "On loan")

    def test_unchanged_time_is_saved_as_written(self, system: System, tab: Tab) -> None:
        create_item(system, title="Timed", seen="2026-05-01T12:00:00.123+02:00")
        tab.open(system.url)
        tab.open_item("Timed")
        tab.field("title").fill("Timed well")
        tab.save()

        assert find_item(system, "Timed well")["seen"] == "2026-05-01T12:00:00.123+02:00"

    def test_conflict_over_a_field_named_constructor(self, system: System, tab: Tab) -> None:
        tab.expect_fault("412")
        item = create_item(system, title="Built")
        tab.open(system.url)
        tab.open_item("Built")
        add_field(tab, "constructor")
        tab.field("constructor").fill("Ann")
        request("PUT", f"{system.url}/items/{item['id']}", {"title": "Built by another"})
        tab.press("Save")
        expect(tab.dialog).to_contain_text("Someone else changed this item")
        expect(tab.dialog.get_by_role("heading")).to_be_focused()
        tab.press("Save these values")
        expect(tab.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()

        assert find_item(system, "Built by another")["constructor"] == "Ann"

    def test_conflict_shows_both_versions(self, system: System, tab: Tab, new_tab: Callable[[], Tab]) -> None:
        delete_all_items(system)
        create_item(system, title="Deep field", galaxies=5500, instrument="Hubble", framed=False)
        other = new_tab()
        for one in (tab, other):
            one.open(system.url)
            one.open_item("Deep field")
        other.expect_fault("412")

        other.field("galaxies").fill("3000")
        other.field("framed").check()
        tab.field("galaxies").fill("10000")
        tab.field("instrument").fill("Hubble Space Telescope")
        tab.save()
        other.press("Save")

        expect(other.dialog).to_contain_text("Someone else changed this item")
        expect(other.dialog.get_by_label("galaxies: keep yours")).to_be_checked()
        expect(other.dialog.get_by_label("instrument: keep theirs")).to_be_checked()
        assert serious_faults(other.page) == []
        take_screenshot(other.page, "conflict")
        other.dialog.get_by_label("galaxies: keep theirs").check()
        other.press("Save these values")
        expect(other.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()
        item = find_item(system, "Deep field")
        assert (item["galaxies"], item["instrument"], item["framed"]) == (10000, "Hubble Space Telescope", True)


def fits(tab: Tab) -> bool:
    fitting: bool = tab.dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth + 1")
    return fitting


def tab_to(tab: Tab, target: Locator) -> None:
    """Move the focus to an element by the Tab key."""
    expect(target).to_be_visible()
    for _ in range(30):
        if target.evaluate("one => one === document.activeElement"):
            return
        tab.page.keyboard.press("Tab")
    expect(target).to_be_focused()


class TestGallery:
    def test_scrolling_loads_older_items(self, system: System, tab: Tab) -> None:
        for n in range(80):
            create_item(system, title=f"Row {n}")
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

    def test_everything_works_by_keyboard(self, tab: Tab) -> None:
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
        tab.page.keyboard.press("Shift+Tab")
        expect(tab.dialog.get_by_role("button", name="Discard changes")).to_be_focused()
        tab.page.keyboard.press("Enter")
        expect(tab.dialog.locator(".item-form")).to_be_hidden()
        tab.page.keyboard.press("Escape")
        expect(tab.dialog).to_be_hidden()
        expect(tab.card("By keyboard").get_by_role("link")).to_be_focused()

    @pytest.mark.parametrize("width", [320, 390, 768, 1920])
    def test_fits_the_screen(self, system: System, tab: Tab, width: int) -> None:
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

    def test_dark_mode(self, tab: Tab) -> None:
        tab.page.emulate_media(color_scheme="dark")
        tab.create("In the dark")
        ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")

        assert all(int(part) < 60 for part in re.findall(r"\d+", ground)[:3])
        assert serious_faults(tab.page) == []
        tab.open_item("In the dark")
        assert serious_faults(tab.page) == []


class TestPictures:
    def test_dropped_picture_gets_a_thumbnail(self, system: System, tab: Tab) -> None:
        tab.create("Rocket")
        tab.drop(tab.card("Rocket"), File.photograph("rocket"))
        entry = tab.tray.locator("li")
        expect(entry.get_by_role("progressbar")).to_have_accessible_name("rocket.jpg")
        expect(entry).to_contain_text("Ready", timeout=60_000)

        tab.expect_picture("Rocket")
        image = find_item(system, "Rocket")["image"]
        assert (image["status"], image["width"]) == ("ready", 600)

    def test_each_chosen_picture_becomes_an_item(self, tab: Tab, tmp_path: Path) -> None:
        for name in ("coffee", "moon"):
            (tmp_path / f"My {name}.jpg").write_bytes(File.photograph(name).content)
        with tab.page.expect_file_chooser() as chooser:
            tab.press("Add pictures")
        assert chooser.value.is_multiple()
        chooser.value.set_files(sorted(tmp_path.iterdir()))

        expect(tab.tray.locator("li")).to_have_count(2)
        for name in ("coffee", "moon"):
            tab.expect_picture(f"My {name}")

    def test_pasted_picture_belongs_to_the_new_item(self, tab: Tab) -> None:
        tab.press("New item")
        tab.field("title").fill("Pasted cat")
        tab.paste(File.photograph("chelsea"))
        expect(tab.dialog.locator(".frame.large img")).to_be_visible()
        tab.press("Create")

        tab.expect_picture("Pasted cat")

    def test_damaged_picture_shows_why_it_failed(self, tab: Tab) -> None:
        tab.drop("main", NOT_A_PICTURE)

        expect(tab.tray.get_by_role("alert")).to_contain_text("is damaged or incomplete", timeout=60_000)
        expect(tab.card("Torn")).to_contain_text("Picture failed")
        tab.view_item("Torn")
        expect(tab.dialog.locator(".picture-error")).to_contain_text("is damaged or incomplete")
        assert serious_faults(tab.page) == []

    def test_file_that_is_no_picture_is_rejected(self, tab: Tab) -> None:
        tab.drop("main", File("Minutes.pdf", "application/pdf", b"%PDF-1.7"))

        expect(tab.tray.get_by_role("alert")).to_contain_text("PDF is not supported")
        expect(tab.card("Minutes")).to_have_count(0)

    def test_picture_is_removed(self, system: System, tab: Tab) -> None:
        tab.create("Moon")
        tab.drop(tab.card("Moon"), File.photograph("moon"))
        tab.expect_picture("Moon")
        tab.open_item("Moon")
        tab.press("Remove the picture")
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()

        expect(tab.dialog.locator(".frame.large img")).to_have_count(0)
        assert "image" not in find_item(system, "Moon")


class TestImports:
    def test_failed_lines_are_listed(self, system: System, tab: Tab) -> None:
        delete_all_items(system)
        tab.open(system.url)
        things = (
            "Amber bowl, Brass lamp, Cedar box, , Elm chair, Felt hat, Glass bead, Horn comb, , Jade ring, Knot, Linen"
        )
        lines = [json.dumps({"title": thing, "shelf": n}) for n, thing in enumerate(things.split(", "), 1)]
        lines[3], lines[8] = '{"title": "No end', '{"id": 7}'
        tab.import_file("winter.ndjson", "\n".join(lines))
        expect(tab.tray).to_contain_text("10 items created, 2 failed", timeout=60_000)

        bad = tab.tray.locator(".failed-lines li")
        assert [bad.nth(n).get_attribute("value") for n in range(2)] == ["4", "9"]
        expect(bad.nth(1)).to_contain_text("RESERVED_FIELD")
        expect(tab.card("Linen")).to_be_visible()
        assert serious_faults(tab.page) == []
        take_screenshot(tab.page, "import")


class TestErrors:
    def test_offline_is_shown_and_the_form_stays(self, system: System, tab: Tab) -> None:
        tab.expect_fault("ERR_INTERNET_DISCONNECTED")
        tab.press("New item")
        tab.field("title").fill("Typed in a tunnel")
        tab.go_offline()
        tab.press("Create")
        expect(tab.dialog.get_by_role("alert")).to_contain_text("You are offline.")
        expect(tab.page.locator("#offline")).to_be_visible()

        tab.go_online()
        expect(tab.page.locator("#offline")).to_be_hidden()
        tab.press("Create")
        expect(tab.card("Typed in a tunnel")).to_be_visible()

    def test_list_is_loaded_again_after_an_error(self, system: System, tab: Tab) -> None:
        tab.expect_fault("500")
        refusal = {"error": "INTERNAL_ERROR", "message": "Something failed here.", "requestId": "request-1"}
        tab.page.goto("about:blank")  # An open page may read the list at any time.
        tab.page.route("**/items?*", lambda route: route.fulfill(status=500, json=refusal), times=1)
        tab.page.goto(f"{system.url}/")

        expect(tab.page.get_by_role("alert")).to_contain_text("Something failed here.")
        expect(tab.page.get_by_role("alert")).to_contain_text("request-1")
        assert serious_faults(tab.page) == []
        tab.press("Try again")
        expect(tab.page.locator(".card").first).to_be_visible()

    def test_item_deleted_by_another_user(self, system: System, tab: Tab) -> None:
        tab.expect_fault("404")
        tab.create("Fleeting")
        request("DELETE", f"{system.url}/items/{find_item(system, 'Fleeting')['id']}")
        tab.card("Fleeting").get_by_role("link").click()

        expect(tab.dialog).to_contain_text("There is no item")


def test_console_works_below_a_stage_path(system: System, new_tab: Callable[[], Tab]) -> None:
    tab = new_tab()
    # One request after another, because the emulator starts a process for each that runs at the same time.
    tab.page.set_default_timeout(90_000)
    tab.page.route(f"{system.packaged}/**", lambda route: route.fulfill(response=route.fetch()))
    tab.page.goto(f"{system.packaged}/")
    tab.create("Below a path")
    tab.page.get_by_role("link", name="API").click()
    expect(tab.page.get_by_role("heading", name="Vitrine API")).to_be_visible()
    tab.page.get_by_role("link", name="Console").click()

    expect(tab.card("Below a path")).to_be_visible()
    assert tab.page.url == f"{system.packaged}/"
    tab.page.unroute_all(behavior="ignoreErrors")  # Modules may still be loading.
