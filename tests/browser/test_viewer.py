"""The view of an item, and its address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, find_item
from tests.browser.tab import File, Tab
from tests.e2e.system import request


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> None:
    tab.open(system.url)


def test_fields_are_shown_in_words(system: System, tab: Tab) -> None:
    create_item(
        system,
        title="Spoken",
        pixelsPerInch=300,
        is_framed=True,
        tags=["sky", "night"],
        lens={"focalLength": 50},
        visited="2026-01-31T12:00:00Z",
        source="https://127.0.0.1/one",
        exact=0.1000000000000000000001,
    )
    tab.open(system.url)
    tab.view_item("Spoken")

    expect(tab.dialog.get_by_text("Pixels per inch")).to_be_visible()
    expect(tab.dialog.get_by_text("Is framed")).to_be_visible()
    expect(tab.dialog.get_by_text("Yes", exact=True)).to_be_visible()
    expect(tab.dialog.get_by_text("Focal length")).to_be_visible()
    expect(tab.dialog.get_by_role("link", name="https://127.0.0.1/one")).to_have_attribute("target", "_blank")
    assert serious_faults(tab.page) == []


def test_picture_is_large_and_links_to_the_original(system: System, tab: Tab) -> None:
    tab.create("Large")
    tab.drop(tab.card("Large"), File.photograph("rocket"))
    tab.expect_picture("Large")
    tab.view_item("Large")
    picture = tab.dialog.get_by_role("img", name="Picture of Large")

    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth / one.naturalHeight)") == pytest.approx(
        600 / 399, abs=0.1
    )
    expect(tab.dialog.get_by_role("link", name="Original")).to_be_visible()
    assert serious_faults(tab.page) == []


def test_arrow_keys_lead_to_neighbours(system: System, tab: Tab) -> None:
    for n in (1, 2, 3):
        create_item(system, title=f"Neighbour {n}")
    tab.open(system.url)
    tab.view_item("Neighbour 3")
    expect(tab.dialog.get_by_role("button", name="Previous item")).to_be_hidden()
    tab.page.keyboard.press("ArrowRight")
    expect(tab.dialog.get_by_role("heading")).to_have_text("Neighbour 2")
    tab.press("Next item")
    expect(tab.dialog.get_by_role("heading")).to_have_text("Neighbour 1")
    tab.page.keyboard.press("ArrowLeft")
    expect(tab.dialog.get_by_role("heading")).to_have_text("Neighbour 2")
    tab.page.go_back()

    expect(tab.dialog).to_be_hidden()
    assert tab.page.url == f"{system.url}/"


def test_picture_is_zoomed_and_moved(tab: Tab) -> None:
    tab.create("Looked at closely")
    tab.drop(tab.card("Looked at closely"), File.photograph("rocket"))
    tab.expect_picture("Looked at closely")
    tab.view_item("Looked at closely")
    picture = tab.dialog.get_by_role("img", name="Picture of Looked at closely")
    expect(picture).to_be_visible()
    expect(tab.tray.get_by_role("listitem")).to_have_count(0)  # The picture has its final size.
    scale = tab.dialog.locator(".percent")
    before = picture.bounding_box()
    assert before is not None

    tab.page.mouse.move(before["x"] + 10, before["y"] + 10)
    tab.page.mouse.wheel(0, -500)
    expect(scale).to_have_text("272 %")
    zoomed = picture.bounding_box()
    assert zoomed is not None
    assert zoomed["width"] == pytest.approx(before["width"] * 2.72, rel=0.01)
    tab.page.mouse.down()
    tab.page.mouse.move(before["x"] - 90, before["y"] + 10, steps=3)
    tab.page.mouse.up()
    moved = picture.bounding_box()
    assert moved is not None
    assert moved["x"] == pytest.approx(zoomed["x"] - 100, abs=1)
    assert serious_faults(tab.page) == []

    for key, shown in (("0", "100 %"), ("+", "150 %"), ("-", "100 %")):
        tab.page.keyboard.press(key)
        expect(scale).to_have_text(shown)
    picture.dblclick()
    expect(scale).to_have_text("250 %")
    tab.press("250 %, reset the zoom")
    expect(scale).to_have_text("100 %")
    tab.page.evaluate("localStorage.setItem('vitrine-character-keys', 'off')")
    tab.page.keyboard.press("+")
    tab.page.keyboard.press("ArrowLeft")
    expect(scale).to_have_text("100 %")


def test_focus_is_set_by_click_and_keys(system: System, tab: Tab) -> None:
    tab.create("Cropped well")
    card = tab.card("Cropped well")
    tab.drop(card, File.photograph("rocket"))
    tab.expect_picture("Cropped well")
    frame = card.locator(".frame")
    before = frame.get_attribute("data-picture")
    assert before is not None
    tab.view_item("Cropped well")
    tab.press("Set focus")
    question = tab.page.get_by_role("dialog", name="Set focus")
    box = question.locator(".focus-picture").bounding_box()
    assert box is not None
    tab.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 3 * box["height"] / 4)
    tab.page.keyboard.press("ArrowRight")
    marker = question.get_by_role("slider", name="Focus")
    expect(marker).to_have_attribute("aria-valuetext", "26 % from the left, 75 % from the top")
    assert serious_faults(tab.page) == []
    question.get_by_role("button", name="Save").click()

    expect(question).to_have_count(0)
    assert find_item(system, "Cropped well")["image"]["focus"] == pytest.approx({"x": 0.26, "y": 0.75}, abs=0.01)
    expect(frame).not_to_have_attribute("data-picture", before, timeout=60_000)
    tab.press("Set focus")
    question.get_by_role("button", name="Remove focus").click()
    expect(question).to_have_count(0)
    assert "focus" not in find_item(system, "Cropped well")["image"]


def test_incomplete_file_is_marked(tab: Tab) -> None:
    tab.create("Cut off")
    content = File.photograph("coffee").content
    tab.drop(tab.card("Cut off"), File("cut.jpg", "image/jpeg", content[: len(content) * 2 // 3]))
    warning = "The file is incomplete; what it has is shown."
    expect(tab.panel).to_contain_text(warning, timeout=60_000)
    tab.expect_picture("Cut off")
    expect(tab.card("Cut off").get_by_role("img", name=warning)).to_be_visible()
    assert serious_faults(tab.page) == []
    tab.view_item("Cut off")

    expect(tab.dialog.locator(".content").get_by_text(warning)).to_be_visible()
    assert serious_faults(tab.page) == []


def test_placeholder_is_shown_until_the_thumbnail_is_loaded(system: System, tab: Tab) -> None:
    tab.create("Blurred at first")
    tab.drop(tab.card("Blurred at first"), File.photograph("coffee"))
    tab.expect_picture("Blurred at first")
    held = tab.hold("GET", "**/thumbnails/**")
    tab.open(system.url)
    picture = tab.card("Blurred at first").locator("img")
    blurred = re.compile("data:image/png")
    expect(picture).to_have_attribute("style", blurred)
    held.await_one()
    before = picture.bounding_box()
    held.release()

    expect(picture).not_to_have_attribute("style", blurred)
    assert picture.bounding_box() == before


def test_original_is_downloaded_under_the_name_of_the_item(tab: Tab) -> None:
    tab.create("Vase: blue/white")
    tab.drop(tab.card("Vase: blue/white"), File.photograph("coffee"))
    tab.expect_picture("Vase: blue/white")
    tab.view_item("Vase: blue/white")
    with tab.page.expect_download() as download:
        tab.press("Download")

    assert download.value.suggested_filename == "Vase blue white.jpg"
    assert Path(download.value.path()).read_bytes() == File.photograph("coffee").content


def test_link_is_copied(system: System, tab: Tab, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    item = create_item(system, title="Sent by mail")
    tab.open(system.url)
    tab.view_item("Sent by mail")
    tab.press("Copy link")

    expect(tab.tray).to_contain_text("Link copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == f"{system.url}/#item={item['id']}"


def test_failed_picture_can_be_replaced(system: System, tab: Tab) -> None:
    tab.create("Torn")
    tab.drop(tab.card("Torn"), File("Torn.jpg", "image/jpeg", b"\xff\xd8\xff and nothing else"))
    sentence = tab.tray.get_by_role("alert").locator("p").first
    expect(sentence).to_contain_text("upload that", timeout=60_000)
    message = sentence.inner_text()
    tab.view_item("Torn")
    expect(tab.dialog.locator(".picture-error p").first).to_have_text(message)
    tab.open(system.url)  # The page does not know of the upload any more.
    tab.view_item("Torn")
    expect(tab.dialog.locator(".picture-error p").first).to_have_text(message)
    assert serious_faults(tab.page) == []
    with tab.page.expect_file_chooser() as chooser:
        tab.press("Choose another picture")
    moon = File.photograph("moon")
    chooser.value.set_files({"name": moon.name, "mimeType": moon.type, "buffer": moon.content})

    expect(tab.dialog.get_by_role("img", name="Picture of Torn")).to_be_visible(timeout=60_000)
    expect(tab.dialog.locator(".picture-error p")).to_have_count(0)


def test_next_item_is_loaded_from_the_next_page(system: System, tab: Tab) -> None:
    for n in range(26):
        create_item(system, title=f"Page {n}")
    tab.page.route("**/items?*", lambda route: route.continue_(url=re.sub("limit=24", "limit=2", route.request.url)))
    tab.page.set_viewport_size({"width": 390, "height": 300})
    tab.page.add_init_script("window.IntersectionObserver = class { observe() {} unobserve() {} }")
    tab.open(system.url)
    tab.view_item("Page 24")
    tab.page.keyboard.press("ArrowRight")

    expect(tab.dialog.get_by_role("heading")).to_have_text("Page 23")


def test_item_has_an_address(system: System, tab: Tab) -> None:
    item = create_item(system, title="Passed on")
    tab.page.goto("about:blank")
    tab.page.goto(f"{system.url}/#item={item['id']}")
    expect(tab.dialog.get_by_role("heading", name="Passed on")).to_be_visible()
    expect(tab.page).to_have_title("Passed on · Vitrine")
    tab.page.keyboard.press("Escape")

    expect(tab.dialog).to_be_hidden()
    expect(tab.page).to_have_url(f"{system.url}/")


def test_address_of_a_deleted_item(system: System, tab: Tab) -> None:
    tab.expect_fault("404")
    item = create_item(system, title="Was here")
    request("DELETE", f"{system.url}/items/{item['id']}")
    tab.page.goto("about:blank")
    tab.page.goto(f"{system.url}/#item={item['id']}")

    expect(tab.dialog.get_by_role("alert")).to_contain_text("There is no item")


def test_listed_item_is_shown_if_reading_fails(system: System, tab: Tab) -> None:
    tab.expect_fault("503")
    create_item(system, title="In the fog", place="Pier 9")
    tab.open(system.url)
    refusal = {"error": "UNAVAILABLE", "message": "Not now.", "requestId": "r"}
    tab.page.route("**/items/*", lambda route: route.fulfill(status=503, json=refusal), times=2)
    tab.view_item("In the fog")
    expect(tab.dialog.get_by_text("Pier 9")).to_be_visible()
    tab.press("Edit")
    expect(tab.dialog.get_by_role("alert")).to_contain_text("Not now.")
    tab.press("Edit")

    expect(tab.field("place")).to_have_value("Pier 9")


def test_back_leads_from_form_to_item_to_gallery(system: System, tab: Tab) -> None:
    create_item(system, title="One step")
    tab.open(system.url)
    tab.open_item("One step")
    tab.page.go_back()
    expect(tab.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()
    tab.page.go_back()

    expect(tab.dialog).to_be_hidden()
    assert tab.page.url == f"{system.url}/"


def test_back_asks_before_changes_are_lost(system: System, tab: Tab) -> None:
    tab.press("New item")
    tab.field("title").fill("Hours of work")
    tab.page.go_back()
    expect(tab.dialog.get_by_role("alert")).to_contain_text("not saved")
    tab.press("Keep editing")
    expect(tab.field("title")).to_have_value("Hours of work")
    tab.press("Create")

    expect(tab.card("Hours of work")).to_be_visible()
    expect(tab.page).to_have_url(f"{system.url}/")


def test_leaving_the_page_asks_before_a_chosen_picture_is_lost(tab: Tab) -> None:
    is_unload_prevented = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    tab.press("New item")
    tab.field("title").fill("Kept as a draft")
    assert tab.page.evaluate(is_unload_prevented) is False
    tab.paste(File.photograph("moon"))
    expect(tab.dialog.locator(".frame.large img")).to_be_visible()

    assert tab.page.evaluate(is_unload_prevented) is True


def test_announcements_are_made_in_the_dialog(system: System, tab: Tab) -> None:
    create_item(system, title="Announced")
    tab.open(system.url)
    tab.open_item("Announced")
    tab.field("title").fill("Announced too")
    tab.save()

    expect(tab.dialog.get_by_role("status").filter(has_text="Saved")).to_be_attached()
    tab.press("Close")
    expect(tab.page.locator("body > #announcer")).to_have_text("Saved")


def test_focus_stays_on_a_redrawn_card(system: System, tab: Tab) -> None:
    tab.create("Focused")
    tab.drop(tab.card("Focused"), File.photograph("moon"))
    tab.card("Focused").get_by_role("link").focus()
    tab.expect_picture("Focused")

    expect(tab.card("Focused").get_by_role("link")).to_be_focused()


class TestDroppedFiles:
    def with_a_picture(self, tab: Tab, title: str) -> None:
        tab.create(title)
        tab.drop(tab.card(title), File.photograph("moon"))
        tab.expect_picture(title)
        expect(tab.tray.get_by_role("listitem")).to_have_count(0)

    def test_replacing_a_picture_is_confirmed(self, system: System, tab: Tab) -> None:
        self.with_a_picture(tab, "Taken")
        tab.drop(tab.card("Taken"), File.photograph("coffee"))
        question = tab.page.get_by_role("alertdialog")
        expect(question).to_contain_text("Replace the picture of “Taken” with coffee.jpg?")
        assert serious_faults(tab.page) == []
        tab.page.keyboard.press("Escape")
        expect(question).to_have_count(0)
        expect(tab.tray.get_by_role("listitem")).to_have_count(0)

    def test_ignored_files_are_named(self, tab: Tab) -> None:
        self.with_a_picture(tab, "Given several")
        tab.view_item("Given several")
        tab.drop("#item .stage", File.photograph("coffee"), File.photograph("rocket"), File.photograph("hubble"))
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Replace").click()

        expect(tab.tray.get_by_role("alert")).to_contain_text("Ignored: rocket.jpg, hubble.jpg")


def test_text_with_a_picture_is_pasted_as_text(tab: Tab) -> None:
    tab.press("New item")
    prevented = tab.field("title").evaluate(
        """field => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "words");
          clipboardData.items.add(new File(["x"], "image.png", {type: "image/png"}));
          return !field.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }"""
    )

    assert prevented is False
    expect(tab.dialog.locator(".frame.large img")).to_have_count(0)
