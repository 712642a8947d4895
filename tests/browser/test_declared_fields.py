"""The console of an app that declares fields in its class ItemFields."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items
from tests.browser.tab import File, Tab
from tests.e2e.system import request


def find_named(system: System, name: str) -> dict[str, object]:
    """Return the item with that name, as raw JSON with exact numbers."""
    found = request("GET", f"{system.url}/items?limit=100").json()["items"]
    return next(item for item in found if item.get("name") == name)


def fill(tab: Tab, **values: str) -> None:
    """Fill declared fields, whose labels are written with _ for spaces."""
    for label, value in values.items():
        tab.dialog.get_by_label(label.replace("_", " "), exact=True).fill(value)


def errors(tab: Tab) -> list[str]:
    """Return the errors that stand at fields."""
    return [text for text in tab.dialog.locator(".field-error").all_inner_texts() if text]


def test_card_shows_the_first_declared_text(system: System, shop: str, tab: Tab) -> None:
    create_item(system, name="Blue vase", title="Not its name", price=5, onSaleFrom="2026-01-02")
    tab.open(shop)

    expect(tab.card("Blue vase")).to_be_visible()


def test_item_is_created_with_its_declared_fields(system: System, shop: str, tab: Tab) -> None:
    tab.open(shop)
    tab.press("New item")
    fill(tab, Name="Amber dish", Price="12.50000000000000000001", On_sale_from="2026-01-02", Description="Two\nlines")
    tab.dialog.get_by_label("Condition", exact=True).select_option("used")
    tab.dialog.get_by_label("Framed", exact=True).select_option("No")
    tab.press("Add to Tags")
    fill(tab, Tags_1="amber")
    tab.press("Add Size")
    fill(tab, Height="30")
    tab.press("Add a field")
    tab.page.keyboard.type("shelf")
    tab.field("shelf").fill("7")
    expect(tab.dialog.get_by_label("Type of the field").last).to_contain_text("Number (automatic)")
    assert serious_faults(tab.page) == []
    tab.press("Create")

    expect(tab.card("Amber dish")).to_be_visible()
    item = find_named(system, "Amber dish")
    own = ("price", "onSaleFrom", "description", "condition", "framed", "tags", "size", "shelf")
    assert [item[name] for name in own] == [
        pytest.approx(12.5),
        "2026-01-02",
        "Two\nlines",
        "used",
        False,
        ["amber"],
        {"height": 30, "width": None},
        7,
    ]
    assert '"price":12.50000000000000000001' in request("GET", f"{system.url}/items/{item['id']}").body.decode()


def test_missing_and_invalid_fields_are_marked(shop: str, tab: Tab) -> None:
    tab.open(shop)
    tab.press("New item")
    fill(tab, Name="V", Price="cheap")
    tab.press("Create")

    assert errors(tab) == [
        "Enter at least 2 characters.",
        "Enter a number, such as 12.5.",
        "On sale from is required.",
    ]
    expect(tab.dialog.get_by_label("Name", exact=True)).to_be_focused()
    expect(tab.dialog.get_by_label("Name", exact=True)).to_have_accessible_description(
        re.compile("Enter at least 2 characters")
    )
    assert serious_faults(tab.page) == []


def test_focused_invalid_field_is_shown_with_its_label(shop: str, tab: Tab) -> None:
    tab.open(shop)
    tab.press("New item")
    name = tab.dialog.get_by_label("Name", exact=True)
    # If nothing of it was seen, the browser would show it in the middle.
    name.evaluate(
        """name => {
            const content = name.closest(".content");
            content.scrollTop += name.getBoundingClientRect().top - content.getBoundingClientRect().top + 10;
        }"""
    )
    tab.press("Create")

    expect(name).to_be_focused()
    expect(tab.dialog.locator("label", has_text="Name")).to_be_in_viewport(ratio=1)


def test_errors_of_the_api_stand_at_their_fields(shop: str, tab: Tab) -> None:
    tab.expect_fault("400")
    refusal = {
        "error": "INVALID_REQUEST",
        "message": "price is too odd. There are other problems too: see details.",
        "requestId": "request-1",
        "details": [
            {"path": "$.price", "message": "price is too odd"},
            {"path": "$.tags[0]", "message": "tags[0] is taken"},
        ],
    }
    tab.open(shop)
    tab.page.route("**/items", lambda route: route.fulfill(status=400, json=refusal), times=1)
    tab.press("New item")
    fill(tab, Name="Vase", Price="5", On_sale_from="2026-01-02")
    tab.press("Add to Tags")
    fill(tab, Tags_1="glass")
    tab.press("Create")

    expect(tab.dialog.get_by_role("alert")).to_contain_text("Change the marked fields.")
    expect(tab.dialog.get_by_role("alert")).to_contain_text("request-1")
    assert errors(tab) == ["price is too odd", "tags[0] is taken"]
    expect(tab.dialog.get_by_label("Price", exact=True)).to_be_focused()


def test_error_of_the_whole_item_is_shown(shop: str, tab: Tab) -> None:
    tab.expect_fault("400")
    tab.open(shop)
    tab.press("New item")
    fill(tab, Name="Vase", Price="-5", On_sale_from="2026-01-02")
    tab.press("Create")

    expect(tab.dialog.get_by_role("alert")).to_contain_text("A price cannot be below zero.")


def test_class_without_other_fields_offers_none(with_fields, tab: Tab) -> None:
    closed = '''
class ItemFields(msgspec.Struct, forbid_unknown_fields=True):
    """A shelf."""

    place: str
    full: bool = False
    rows: int = 3
'''
    tab.open(with_fields(closed))
    tab.press("New item")

    expect(tab.dialog.get_by_label("Place", exact=True)).to_be_focused()
    expect(tab.dialog.get_by_label("Rows", exact=True)).to_have_value("3")
    expect(tab.dialog.get_by_role("switch", name="Full")).not_to_be_checked()
    expect(tab.dialog.get_by_role("button", name="Add a field")).to_have_count(0)
    fill(tab, Place="Cellar")
    tab.page.keyboard.press("Enter")
    expect(tab.card("Cellar")).to_be_visible()


EVERY_TYPE = '''
class Size(msgspec.Struct):
    height: int


class ItemFields(msgspec.Struct, kw_only=True):
    """One field of each type that the page on adapting names."""

    line: Annotated[str, msgspec.Meta(max_length=200, title="A line", examples=["a vase"])]
    lines: Annotated[str, msgspec.Meta(max_length=201)]
    email: Annotated[str, msgspec.Meta(extra_json_schema={"format": "email"})]
    link: Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri"})] | None = None
    whole: int
    real: float
    exact: Decimal
    sure: bool
    unsure: bool | None = None
    day: datetime.date
    moment: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    choice: Literal["a", "b"]
    many: list[int]
    named: dict[str, int]
    size: Size
    anything: Any = None
    either: int | str = 1
'''


def test_each_declared_type_has_an_input_that_fits(with_fields, tab: Tab) -> None:
    tab.open(with_fields(EVERY_TYPE))
    tab.press("New item")
    tab.press("Add to Many")
    described = """field => {
      const input = field.querySelector("input, textarea, select:not(.type), [role=group]");
      return [field.querySelector(".name").firstChild.textContent, input.role || input.type || input.tagName];
    }"""
    fields = tab.dialog.locator("#editor-body > .fields > .field")
    inputs = dict(fields.nth(n).evaluate(described) for n in range(fields.count()))

    assert inputs == {
        "A line": "text",
        "Lines": "textarea",
        "Email": "email",
        "Link": "url",
        "Whole": "text",
        "Real": "text",
        "Exact": "text",
        "Sure": "switch",
        "Unsure": "select-one",
        "Day": "date",
        "Moment": "datetime-local",
        "Choice": "select-one",
        "Many": "group",
        "Named": "group",
        "Size": "group",
        "Anything": "text",
        "Either": "text",
        "Visibility": "select-one",
    }
    expect(tab.dialog.get_by_label("A line", exact=True)).to_have_attribute("placeholder", "Such as a vase")
    expect(tab.dialog.get_by_label("Either", exact=True)).to_have_value("1")
    expect(tab.dialog.get_by_label("Many 1", exact=True)).to_be_visible()
    expect(tab.dialog.get_by_label("Height", exact=True)).to_be_visible()
    assert serious_faults(tab.page) == []


class TestPictures:
    FILES = (File.photograph("coffee", "Cup of coffee"), File.photograph("moon", "The moon"))

    def test_form_asks_once_for_all_files(self, system: System, shop: str, tab: Tab) -> None:
        delete_all_items(system)
        tab.open(shop)
        tab.drop("main", *self.FILES)
        expect(tab.dialog.get_by_role("heading", name="Add 2 pictures")).to_be_visible()
        tab.press("Create 2 items")
        assert errors(tab) == ["Price is required.", "On sale from is required."]
        fill(tab, Price="5", On_sale_from="2026-01-02", The_moon="A moon")
        assert serious_faults(tab.page) == []
        tab.press("Create 2 items")

        for name in ("Cup of coffee", "A moon"):
            tab.expect_picture(name)
        items = [find_named(system, name) for name in ("Cup of coffee", "A moon")]
        assert [(item["price"], item["onSaleFrom"]) for item in items] == [(5, "2026-01-02")] * 2

    def test_answers_survive_a_reload(self, shop: str, tab: Tab) -> None:
        tab.page.on("dialog", lambda dialog: dialog.accept())
        tab.open(shop)
        tab.drop("main", *self.FILES)
        fill(tab, Price="12", The_moon="Not kept")
        tab.page.reload()
        expect(tab.dialog).to_have_count(0)
        tab.drop("main", *self.FILES)

        expect(tab.dialog.get_by_text("were restored")).to_be_visible()
        expect(tab.dialog.get_by_label("Price", exact=True)).to_have_value("12")
        expect(tab.dialog.get_by_label("The moon", exact=True)).to_have_value("The moon")

    def test_refused_fields_create_no_item(self, shop: str, tab: Tab) -> None:
        tab.expect_fault("400")
        tab.open(shop)
        tab.drop("main", File.photograph("coffee", "Refused"))
        fill(tab, Price="-5", On_sale_from="2026-01-02")
        tab.press("Create 1 item")
        expect(tab.dialog.get_by_role("alert")).to_contain_text("A price cannot be below zero.")
        expect(tab.card("Refused")).to_have_count(0)
        fill(tab, Price="5")
        tab.press("Create 1 item")

        tab.expect_picture("Refused")

    def test_only_a_name_is_not_asked_for(self, with_fields, tab: Tab) -> None:
        named = '''
class ItemFields(msgspec.Struct):
    """Something with a name."""

    stock: int = 1
    label: Annotated[str, msgspec.Meta(max_length=6)] = ""
'''
        tab.open(with_fields(named))
        tab.drop("main", File.photograph("rocket", "Long name"))

        tab.expect_picture("Long n")


class TestDrafts:
    def test_draft_survives_a_reload(self, system: System, shop: str, tab: Tab) -> None:
        create_item(system, name="Old vase", price=5, onSaleFrom="2026-01-02")
        tab.open(shop)
        tab.open_item("Old vase")
        fill(tab, Name="Half a na", Price="12 or")
        tab.page.reload()

        expect(tab.dialog.get_by_text("were restored")).to_be_visible()
        expect(tab.dialog.get_by_label("Name", exact=True)).to_have_value("Half a na")
        expect(tab.dialog.get_by_label("Price", exact=True)).to_have_value("12 or")
        fill(tab, Name="Half a name", Price="12")
        tab.save()
        assert find_named(system, "Half a name")["price"] == 12
        tab.press("Edit")
        expect(tab.dialog.get_by_text("were restored")).to_have_count(0)

    def test_draft_of_a_new_item_survives_a_closed_tab(self, shop: str, tab: Tab, new_tab) -> None:
        tab.open(shop)
        tab.press("New item")
        fill(tab, Name="Begun")
        tab.press("Add a field")
        tab.page.keyboard.type("shelf")
        tab.page.close()
        other = new_tab()
        other.open(shop)
        other.press("New item")

        expect(other.dialog.get_by_label("Name", exact=True)).to_have_value("Begun")
        expect(other.dialog.get_by_label("Name of the field")).to_have_value("shelf")
        other.press("Start over")
        expect(other.dialog.get_by_label("Name", exact=True)).to_have_value("")
        expect(other.dialog.get_by_text("were restored")).to_have_count(0)

    def test_draft_meets_a_change_by_another_user(self, system: System, shop: str, tab: Tab) -> None:
        tab.expect_fault("412")
        item = create_item(system, name="Shared", price=5, onSaleFrom="2026-01-02")
        tab.open(shop)
        tab.open_item("Shared")
        fill(tab, Price="6")
        request("PATCH", f"{system.url}/items/{item['id']}", {"name": "Shared by two"})
        tab.page.reload()
        expect(tab.dialog.get_by_label("Price", exact=True)).to_have_value("6")
        tab.press("Save")
        expect(tab.dialog).to_contain_text("Someone else changed this item")
        tab.press("Save these values")

        expect(tab.dialog.get_by_role("heading", name="Shared by two")).to_be_visible()
        assert find_named(system, "Shared by two")["price"] == 6

    def test_escape_and_enter_lose_nothing(self, shop: str, tab: Tab) -> None:
        tab.open(shop)
        tab.press("New item")
        fill(tab, Name="Still here")
        tab.page.keyboard.press("Escape")
        expect(tab.dialog.get_by_role("button", name="Keep editing")).to_be_focused()
        tab.page.keyboard.press("Enter")

        expect(tab.dialog.get_by_label("Name", exact=True)).to_have_value("Still here")
        expect(tab.dialog.get_by_label("Name", exact=True)).to_be_focused()
        tab.press("Cancel")
        tab.press("Discard changes")
        expect(tab.dialog).to_be_hidden()
        tab.press("New item")
        expect(tab.dialog.get_by_label("Name", exact=True)).to_have_value("")


class TestKeyboard:
    def test_enter_saves_in_one_line(self, system: System, tab: Tab) -> None:
        create_item(system, title="By Enter")
        tab.open(system.url)
        tab.open_item("By Enter")
        tab.field("title").fill("Saved by Enter")
        tab.page.keyboard.press("Enter")

        expect(tab.dialog.get_by_role("heading", name="Saved by Enter")).to_be_visible()

    def test_control_and_enter_save_in_several_lines(self, system: System, tab: Tab) -> None:
        create_item(system, title="Lines", note="one\ntwo")
        tab.open(system.url)
        tab.open_item("Lines")
        tab.field("note").fill("one\ntwo\nthree")
        tab.page.keyboard.press("Control+Enter")

        expect(tab.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()
        expect(tab.dialog).to_contain_text("three")

    def test_pasted_lines_are_kept(self, system: System, tab: Tab) -> None:
        tab.open(system.url)
        tab.press("New item")
        tab.field("title").evaluate(
            """input => {
              const clipboardData = new DataTransfer();
              clipboardData.setData("text/plain", "one\\ntwo");
              input.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
            }"""
        )

        expect(tab.field("title")).to_have_value("one\ntwo")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_form_on_a_phone_has_large_targets(shop: str, tab: Tab, browser, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    phone = Tab(context.new_page())
    phone.open(shop)
    phone.press("New item")
    phone.press("Add to Tags")
    measured = """form => [...form.querySelectorAll("input, select, textarea, button")]
      .filter(one => one.checkVisibility() && one.role !== "switch")
      .map(one => [one.getBoundingClientRect().height, parseFloat(getComputedStyle(one).fontSize), one.outerHTML])"""
    small = [
        html
        for height, size, html in phone.dialog.locator("form").evaluate(measured)
        if height < 44 or (size < 16 and not html.startswith("<button"))
    ]

    assert small == []
    assert serious_faults(phone.page) == []
    context.close()
    phone.assert_quiet()
