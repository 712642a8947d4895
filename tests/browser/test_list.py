"""The list: keys, selection, renaming, actions on many items, the table, and the settings in the URL."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Route, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items, find_item
from tests.browser.tab import File, Tab
from tests.e2e.system import request
from tests.e2e.waiting import eventually


@pytest.fixture
def four_items(system: System, tab: Tab) -> None:
    delete_all_items(system)
    for title in ("Elm chair", "Oak table", "Oak bench", "Ash stool"):
        create_item(system, title=title, wood=title.split()[0].lower(), height=len(title))
    tab.open(system.url)
    # The modules for keys and selection are loaded after the items.
    expect(tab.page.locator("#lists a[tabindex='0']")).to_have_count(1, timeout=60_000)


def link(tab: Tab, title: str) -> Locator:
    return tab.card(title).get_by_role("link")


def box(tab: Tab, title: str) -> Locator:
    return tab.page.get_by_role("checkbox", name=f"Select {title}", exact=True)


def titles_in_api(system: System) -> set[str]:
    return {item.get("title") for item in request("GET", f"{system.url}/items").json()["items"]}


@pytest.mark.usefixtures("four_items")
class TestKeys:
    def test_arrows_move_and_enter_opens(self, tab: Tab) -> None:
        tab.page.keyboard.press("Tab")
        expect(tab.page.get_by_role("link", name="Skip to the items")).to_be_focused()
        tab.page.keyboard.press("Enter")
        expect(link(tab, "Ash stool")).to_be_focused()
        tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("ArrowRight")
        expect(link(tab, "Oak table")).to_be_focused()
        tab.page.keyboard.press("Home")
        tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("Enter")
        expect(tab.dialog.get_by_role("heading", name="Oak bench")).to_be_visible()
        tab.page.keyboard.press("Escape")

        expect(link(tab, "Oak bench")).to_be_focused()

    def test_arrows_move_between_lines(self, tab: Tab) -> None:
        tab.page.set_viewport_size({"width": 700, "height": 800})
        places = [tab.card(title).bounding_box() for title in ("Ash stool", "Oak bench", "Oak table", "Elm chair")]
        assert len({place["y"] for place in places if place}) == 2
        link(tab, "Oak bench").focus()
        tab.page.keyboard.press("ArrowDown")

        expect(link(tab, "Elm chair")).to_be_focused()

    def test_letters_act_unless_the_user_types(self, tab: Tab) -> None:
        tab.page.keyboard.press("/")
        expect(tab.page.get_by_role("searchbox")).to_be_focused()
        tab.page.keyboard.type("n? oak")
        expect(tab.dialog).to_be_hidden()
        expect(tab.page.get_by_role("searchbox")).to_have_value("n? oak")
        tab.page.get_by_role("searchbox").fill("")
        tab.page.keyboard.press("Enter")
        expect(link(tab, "Ash stool")).to_be_focused()
        tab.page.keyboard.press("e")
        expect(tab.dialog.locator(".item-form")).to_be_visible()
        tab.page.keyboard.press("Escape")
        tab.page.keyboard.press("Escape")
        expect(tab.dialog).to_be_hidden()
        tab.page.keyboard.press("n")

        expect(tab.dialog.get_by_role("heading", name="New item")).to_be_visible()

    def test_help_lists_the_keys_and_turns_letters_off(self, tab: Tab) -> None:
        tab.page.keyboard.press("?")
        expect(tab.dialog).to_contain_text("Select all shown")
        assert serious_faults(tab.page) == []
        tab.dialog.get_by_label("Use keys of one letter").uncheck()
        tab.page.keyboard.press("Escape")
        tab.page.keyboard.press("n")
        tab.page.keyboard.press("?")
        expect(tab.dialog).to_be_hidden()
        tab.press("Display options")
        tab.press("Keyboard shortcuts")

        expect(tab.dialog).to_contain_text("Select all shown")

    def test_delete_key_deletes_and_can_be_undone(self, tab: Tab) -> None:
        link(tab, "Oak bench").focus()
        tab.page.keyboard.press("Delete")
        expect(tab.card("Oak bench")).to_have_count(0)
        expect(link(tab, "Oak table")).to_be_focused()
        tab.page.keyboard.press("Control+z")

        expect(link(tab, "Oak bench")).to_be_focused()


@pytest.mark.usefixtures("four_items")
class TestRenaming:
    def test_f2_renames_in_place(self, system: System, tab: Tab) -> None:
        link(tab, "Oak bench").focus()
        tab.page.keyboard.press("F2")
        tab.page.keyboard.type("Pine bench")
        tab.page.keyboard.press("Enter")

        expect(link(tab, "Pine bench")).to_be_focused()
        assert find_item(system, "Pine bench")["wood"] == "oak"

    def test_escape_keeps_the_name(self, tab: Tab) -> None:
        tab.card("Oak bench").hover()
        tab.press("Rename Oak bench")
        tab.page.keyboard.type("Pine bench")
        tab.page.keyboard.press("Escape")

        expect(link(tab, "Oak bench")).to_be_focused()

    def test_conflict_shows_the_other_name(self, system: System, tab: Tab) -> None:
        tab.expect_fault("412")
        link(tab, "Oak bench").focus()
        tab.page.keyboard.press("F2")
        tab.page.keyboard.type("Pine bench")
        path = f"{system.url}/items/{find_item(system, 'Oak bench')['id']}"
        request("PATCH", path, {"title": "Fir bench"})
        tab.page.keyboard.press("Enter")
        expect(tab.page.get_by_role("alert")).to_contain_text("renamed it to “Fir bench”")
        expect(tab.page.get_by_label("New name of Oak bench")).to_have_value("Pine bench")
        assert serious_faults(tab.page) == []
        tab.press("Use mine")

        expect(link(tab, "Pine bench")).to_be_focused()
        assert request("GET", path).json()["title"] == "Pine bench"


@pytest.mark.usefixtures("four_items")
class TestSelection:
    def test_range_is_deleted_and_undone_together(self, system: System, tab: Tab) -> None:
        tab.page.clock.install()
        tab.card("Ash stool").hover()
        box(tab, "Ash stool").check()
        box(tab, "Oak table").click(modifiers=["Shift"])
        expect(tab.page.get_by_text("3 selected")).to_be_visible()
        assert serious_faults(tab.page) == []
        tab.press("Delete")
        expect(tab.page.locator(".card")).to_have_count(1)
        tab.press("Undo")
        expect(tab.page.locator(".card")).to_have_count(4)
        tab.page.keyboard.press("Control+a")
        expect(tab.page.get_by_text("4 selected")).to_be_visible()
        tab.page.keyboard.press("Escape")
        expect(tab.page.get_by_text("4 selected")).to_be_hidden()
        tab.page.keyboard.press("Control+a")
        tab.page.keyboard.press("Delete")
        tab.page.locator("header").hover()  # The time to undo does not end while the pointer is at the notice.
        tab.page.clock.run_for(9000)

        assert eventually(lambda: titles_in_api(system) == set())

    def test_field_is_set_on_all(self, system: System, tab: Tab) -> None:
        box(tab, "Oak bench").check(force=True)
        box(tab, "Oak table").check(force=True)
        tab.press("Set field…")
        tab.dialog.get_by_label("Field", exact=True).fill("width")
        tab.dialog.get_by_label("Value", exact=True).fill("12.50")
        expect(tab.dialog.get_by_role("combobox", name="Type of the field")).to_contain_text("Number (automatic)")
        assert serious_faults(tab.page) == []
        tab.press("Set")

        expect(tab.tray).to_contain_text("Set “width”: 2 items")
        assert [find_item(system, title)["width"] for title in ("Oak bench", "Oak table")] == [12.5, 12.5]
        expect(tab.card("Oak bench")).to_contain_text("Width 12.50")

    def test_expiry_is_set_and_removed(self, system: System, tab: Tab) -> None:
        tab.page.keyboard.press("Control+a")
        tab.press("Set expiry…")
        tab.dialog.get_by_label("Expires", exact=True).fill("2100-01-31T12:00")
        tab.press("Set")
        expect(tab.page.locator(".chip")).to_have_count(4)
        tab.press("Set expiry…")
        tab.dialog.get_by_label("Never expires").check()
        tab.press("Set")
        expect(tab.page.locator(".chip")).to_have_count(0)

        assert "expiresAt" not in find_item(system, "Oak bench")

    def test_what_failed_is_tried_again(self, system: System, tab: Tab) -> None:
        broken = find_item(system, "Oak bench")["id"]
        refusal = {"error": "INTERNAL_ERROR", "message": "Something failed here."}

        def fail_one(route: Route) -> None:
            operations = [one for one in route.request.post_data_json["operations"] if one["id"] != broken]
            done = request("POST", route.request.url, {"operations": operations}).json()["results"]
            route.fulfill(json={"results": [{"id": broken, "status": 500, "error": refusal}, *done]})

        tab.page.route("**/items/batch", fail_one, times=1)
        box(tab, "Oak bench").check(force=True)
        tab.page.keyboard.press("Control+a")
        tab.press("Set field…")
        tab.dialog.get_by_label("Field", exact=True).fill("sold")
        tab.dialog.get_by_label("Value", exact=True).fill("true")
        tab.press("Set")
        expect(tab.tray).to_contain_text("Set “sold”: 3 items · 1 failed")
        expect(tab.tray).to_contain_text("Oak bench Something failed here.")
        tab.press("Try the 1 again")

        expect(tab.tray).to_contain_text("Set “sold”: 1 item")
        assert find_item(system, "Oak bench")["sold"] is True

    def test_page_asks_before_it_drops_what_is_not_sent(self, tab: Tab) -> None:
        held = tab.hold("POST", "**/items/batch")
        tab.page.keyboard.press("Control+a")
        tab.press("Set field…")
        tab.dialog.get_by_label("Field", exact=True).fill("sold")
        tab.dialog.get_by_label("Value", exact=True).fill("true")
        tab.press("Set")
        held.await_one()
        expect(tab.tray).to_contain_text("Keep this page open: what is not sent yet is not done.")
        assert tab.leave() == ["beforeunload"]
        held.release()

        expect(tab.tray).to_contain_text("Set “sold”: 4 items")

    def test_copied_link_opens_the_item(self, context: BrowserContext, tab: Tab, new_tab: Callable[[], Tab]) -> None:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        box(tab, "Oak bench").check(force=True)
        tab.press("Copy link")
        expect(tab.tray).to_contain_text("Link copied")
        other = new_tab()
        other.page.goto(tab.page.evaluate("navigator.clipboard.readText()"))

        expect(other.dialog.get_by_role("heading", name="Oak bench")).to_be_visible()


@pytest.mark.usefixtures("four_items")
class TestTable:
    def test_columns_are_chosen_and_remembered(self, system: System, tab: Tab) -> None:
        tab.page.get_by_role("radio", name="Table").check(force=True)
        table = tab.page.get_by_role("table", name="Items")
        expect(table.get_by_role("columnheader")).to_have_text(
            ["Picture", "Name", "Wood", "Height", "Added", "Changed", "Picture size"]
        )
        expect(table.get_by_role("row").nth(1)).to_contain_text("Ash stoolash9")
        assert serious_faults(tab.page) == []
        tab.press("Display options")
        tab.page.get_by_label("Wood").uncheck()
        assert serious_faults(tab.page) == []
        tab.page.goto(f"{system.url}/docs")
        tab.page.goto(f"{system.url}/")
        headers = tab.page.get_by_role("columnheader")

        expect(headers).to_have_text(["Picture", "Name", "Height", "Added", "Changed", "Picture size"])

    def test_rows_open_select_and_rename(self, tab: Tab) -> None:
        tab.page.get_by_role("radio", name="Table").check(force=True)
        tab.page.get_by_role("link", name="Oak bench").focus()
        tab.page.keyboard.press("ArrowDown")
        tab.page.keyboard.press("Space")
        expect(tab.page.get_by_text("1 selected")).to_be_visible()
        tab.page.keyboard.press("F2")
        tab.page.keyboard.type("Pine table")
        tab.page.keyboard.press("Enter")
        expect(tab.page.get_by_role("link", name="Pine table")).to_be_focused()
        tab.page.keyboard.press("Enter")

        expect(tab.dialog.get_by_role("heading", name="Pine table")).to_be_visible()


@pytest.mark.usefixtures("four_items")
class TestUrl:
    def test_reload_and_back_restore_the_list(self, tab: Tab) -> None:
        tab.page.get_by_label("Order").select_option("Oldest first")
        expect(tab.page.locator(".card h2").first).to_have_text("Elm chair")
        tab.page.get_by_role("radio", name="Table").check(force=True)
        tab.page.get_by_role("searchbox").fill("oak")
        expect(tab.page).to_have_url(re.compile("#view=table&order=asc&q=oak$"))
        tab.page.reload()
        expect(tab.page.locator("tbody th:visible")).to_have_text(["Oak table", "Oak bench"])
        expect(tab.page.get_by_role("searchbox")).to_have_value("oak")
        tab.page.go_back()
        expect(tab.page.locator(".card h2").first).to_have_text("Elm chair")
        tab.page.go_back()

        expect(tab.page.locator(".card h2").first).to_have_text("Ash stool")

    def test_item_is_closed_into_the_same_list(self, tab: Tab) -> None:
        tab.page.get_by_label("Order").select_option("Oldest first")
        tab.view_item("Oak bench")
        expect(tab.page).to_have_url(re.compile("#item=.*&order=asc$"))
        tab.page.go_back()
        expect(tab.dialog).to_be_hidden()

        expect(tab.page).to_have_url(re.compile("#order=asc$"))
        expect(tab.page.get_by_label("Order")).to_have_value("asc")

    def test_filters_are_joined_changed_and_removed(self, tab: Tab) -> None:
        count = tab.page.locator("#count")
        tab.press("Filter")
        tab.page.get_by_label("Field").select_option("Title")
        tab.page.get_by_role("textbox", name="Value").fill("oak")
        tab.page.get_by_label("Condition").select_option("begins with")
        assert serious_faults(tab.page) == []
        tab.press("Add filter")
        expect(count).to_have_text("2 items found")
        expect(tab.page.get_by_role("button", name="Change the filter: Title begins with “oak”")).to_be_focused()
        tab.press("Filter")
        tab.page.get_by_label("Field").select_option("Changed")
        tab.page.get_by_label("Condition").select_option("is before")
        tab.page.get_by_label("Value").fill("2026-01-31T12:00")
        tab.press("Add filter")
        expect(tab.page.locator("#no-match")).to_have_text("No item matches the filters.")
        tab.page.get_by_role("button", name="Remove the filter: Changed").click()
        expect(count).to_have_text("2 items found")
        tab.page.reload()
        expect(tab.page).to_have_url(re.compile(r"#filter\[title\]\[prefix\]=oak$"))
        expect(count).to_have_text("2 items found")
        tab.page.get_by_role("button", name="Change the filter: Title").click()
        tab.page.get_by_role("textbox", name="Value").fill("elm")
        tab.page.keyboard.press("Enter")
        expect(count).to_have_text("1 item found")
        assert serious_faults(tab.page) == []
        tab.page.go_back()
        expect(count).to_have_text("2 items found")
        tab.page.get_by_role("button", name="Remove the filter: Title").click()

        expect(count).to_have_text("4 items")
        expect(tab.page.get_by_role("button", name="Filter", exact=True)).to_be_focused()

    def test_density_is_kept(self, system: System, tab: Tab) -> None:
        width = (tab.card("Oak bench").bounding_box() or {})["width"]
        tab.press("Display options")
        tab.page.get_by_label("Compact").check()
        tab.page.goto(f"{system.url}/docs")
        tab.page.goto(f"{system.url}/")
        expect(tab.card("Oak bench")).to_be_visible()

        assert (tab.card("Oak bench").bounding_box() or {})["width"] < width


class TestLoading:
    def test_search_finds_an_item_of_a_late_page(self, system: System, tab: Tab) -> None:
        delete_all_items(system)
        create_item(system, title="The oldest")
        for n in range(25):
            create_item(system, title=f"Row {n}")
        tab.page.goto(f"{system.url}/#q=oldest")

        expect(tab.page.get_by_role("status").filter(has_text="1 item found")).to_have_count(1)
        expect(tab.card("The oldest")).to_be_visible()

    def test_all_that_match_are_changed_and_deleted(self, system: System, tab: Tab) -> None:
        delete_all_items(system)
        creations = [{"op": "create", "body": {"title": title}} for title in ("Left", *(f"Row {n}" for n in range(60)))]
        request("POST", f"{system.url}/items/batch", {"operations": creations})
        tab.page.clock.install()
        tab.page.goto(f"{system.url}/#filter[title][prefix]=row")
        expect(tab.page.locator("#lists a[tabindex='0']")).to_have_count(1, timeout=60_000)
        tab.page.keyboard.press("Control+a")
        tab.press("Select all items that match")
        expect(tab.page.get_by_label("Selected items").get_by_text("60 selected")).to_be_visible()
        tab.press("Set field…")
        tab.dialog.get_by_label("Field", exact=True).fill("sold")
        tab.dialog.get_by_label("Value", exact=True).fill("true")
        tab.press("Set")
        expect(tab.tray).to_contain_text("Set “sold”: 60 items")
        assert find_item(system, "Row 0")["sold"] is True
        tab.press("Delete")
        expect(tab.page.locator(".card")).to_have_count(0)
        tab.press("Undo")
        expect(tab.page.locator(".card").first).to_be_visible()
        tab.page.keyboard.press("Control+a")
        tab.press("Select all items that match")
        expect(tab.page.get_by_label("Selected items").get_by_text("60 selected")).to_be_visible()
        tab.press("Delete")
        tab.page.locator("header").hover()
        tab.page.clock.run_for(9000)
        expect(tab.tray).to_contain_text("Deleted: 60 items")

        expect(tab.page.locator("#no-match")).to_have_text("No item matches the filter.")
        assert titles_in_api(system) == {"Left"}

    @pytest.mark.usefixtures("four_items")
    def test_new_item_does_not_move_what_the_user_points_at(self, tab: Tab) -> None:
        tab.card("Oak bench").hover()
        before = tab.card("Oak bench").bounding_box()
        tab.import_file("more.ndjson", '{"title": "Imported"}')
        tab.card("Oak bench").hover()
        expect(tab.page.get_by_role("button", name="Show 1 new item")).to_be_visible(timeout=60_000)
        assert tab.card("Oak bench").bounding_box() == before
        tab.page.locator("header").hover()

        expect(tab.page.locator(".card h2").first).to_have_text("Imported")

    @pytest.mark.usefixtures("four_items")
    def test_lines_do_not_jump_when_a_picture_is_shown(self, tab: Tab) -> None:
        size = tab.card("Oak bench").bounding_box()
        tab.drop(tab.card("Oak bench"), File.photograph("coffee"))
        tab.expect_picture("Oak bench")

        assert tab.card("Oak bench").bounding_box() == size


@pytest.mark.usefixtures("four_items")
def test_toolbar_of_a_phone_is_one_row(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 844})
    heights = tab.page.locator("#toolbar > :visible").evaluate_all(
        "all => all.filter(one => one.id !== 'count').map(one => {"
        " const {top, bottom} = one.getBoundingClientRect(); return (top + bottom) / 2 })"
    )
    assert max(heights) - min(heights) < 4
    tab.press("Display options")
    tab.page.get_by_label("Order").select_option("Oldest first")
    expect(tab.page.locator(".card h2").first).to_have_text("Elm chair")
    assert serious_faults(tab.page) == []
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("Control+a")
    expect(tab.page.get_by_text("4 selected")).to_be_visible()

    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_faults(tab.page) == []


def test_targets_on_a_touch_screen_are_large(system: System, browser: Browser) -> None:
    delete_all_items(system)
    create_item(system, title="Oak bench")
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(context.new_page())
    tab.open(system.url)
    box(tab, "Oak bench").check()
    expect(tab.page.get_by_text("1 selected")).to_be_visible()
    small = tab.page.locator("#toolbar :is(button, input, select):visible, .selection-bar button:visible").evaluate_all(
        "all => all.filter(one => !one.closest('label') && one.getBoundingClientRect().height < 44)"
        ".map(one => one.outerHTML)"
    )
    assert small == []
    # The target of a checkbox is larger than what is drawn.
    assert box(tab, "Oak bench").evaluate(
        "one => { const {left, top, width, height} = one.getBoundingClientRect();"
        " return [-21, 21].every(by => document.elementFromPoint(left + width / 2 + by, top + height / 2) === one) }"
    )
    context.close()
