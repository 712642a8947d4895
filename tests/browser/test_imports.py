"""Imports: what is sent of a file, and how errors are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Request, Route, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, find_item
from tests.browser.tab import File, Tab

BUSY = {"error": "BACKEND_UNAVAILABLE", "message": "It is not available.", "requestId": "request-1"}


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> Iterator[None]:
    tab.open(system.url)
    yield
    tab.page.unroute_all(behavior="ignoreErrors")


@pytest.fixture
def sent(tab: Tab) -> list[str]:
    """Return the bodies that the tab sends to be imported, as they come."""
    bodies: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/imports"):
            bodies.append(request.post_data or "")

    tab.page.on("request", note)
    return bodies


def drop(tab: Tab, name: str, text: str) -> None:
    tab.drop("main", File(name, "", text.encode()))


def end(tab: Tab) -> Locator:
    return tab.panel.locator(".done, .failed")


class TestReading:
    def test_json_with_a_syntax_error_is_not_sent(self, tab: Tab, sent: list[str]) -> None:
        drop(tab, "shop.json", '[\n{"title": "Never made"},\n{"title": }\n]')

        expect(tab.panel.get_by_role("alert")).to_contain_text("not valid JSON")
        expect(tab.panel.get_by_role("alert")).to_contain_text("Nothing was imported")
        assert sent == []

    def test_json_object_is_one_item(self, tab: Tab) -> None:
        tab.import_file("one.json", json.dumps({"title": "All alone", "price": 1}, indent=2))

        expect(end(tab)).to_contain_text("1 item created", timeout=60_000)
        expect(tab.card("All alone")).to_be_visible()

    def test_lines_in_a_json_file_are_items(self, tab: Tab) -> None:
        tab.import_file("export.json", '{"title": "First of two"}\n{"title": "Second of two"}\n')

        expect(end(tab)).to_contain_text("2 items created", timeout=60_000)

    def test_failed_line_has_its_number_in_the_file(self, tab: Tab) -> None:
        tab.import_file("gaps.ndjson", '\n{"title": "After a blank"}\n  \n\n{"id": 7}\n\n{"title"\n')
        expect(end(tab)).to_contain_text("1 item created, 2 failed", timeout=60_000)

        bad = tab.panel.locator(".failed-lines li")
        assert [one.get_attribute("value") for one in bad.all()] == ["5", "7"]
        expect(tab.panel.get_by_role("button", name="1 import done · 2 items failed")).to_be_visible()
        assert serious_faults(tab.page) == []

    def test_numbers_keep_every_digit(self, tab: Tab, sent: list[str]) -> None:
        tab.import_file("exact.json", '[{"title": "Exact", "price": 0.10000000000000000000001}]')

        expect(end(tab)).to_contain_text("1 item created", timeout=60_000)
        assert sent == ['{"items":[{"title": "Exact", "price": 0.10000000000000000000001}]}']

    def test_too_large_file_is_not_sent(self, tab: Tab, sent: list[str]) -> None:
        tab.page.evaluate(
            """() => {
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File(["x".repeat(5 * 1024 * 1024 + 1)], "large.ndjson"));
                document.querySelector("main").dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true}));
            }"""
        )

        expect(tab.panel.get_by_role("alert")).to_contain_text("An import may have at most 5 MB")
        assert sent == []

    def test_file_without_items_is_not_sent(self, tab: Tab, sent: list[str]) -> None:
        drop(tab, "number.json", "42")

        expect(tab.panel.get_by_role("alert")).to_contain_text("contains no items")
        assert sent == []

    def test_preview_shows_how_rows_are_read(self, system: System, tab: Tab, sent: list[str]) -> None:
        create_item(system, title="Turned oak", price=1, shelf=5)
        text = 'title;price;tags;wood\n"Turned oak";129.50;garden|sale;oak\nAsh;cheap;;\n'
        drop(tab, "shop.csv", text)
        question = tab.page.get_by_role("dialog", name="Import shop.csv")
        expect(question.get_by_role("row").nth(1)).to_have_text("Turned oak129.50garden | saleoak")
        expect(question).to_contain_text("wood is not declared")
        expect(question.get_by_role("alert")).to_contain_text("Line 3: price must be a number.")
        question.get_by_label("Items that exist already").select_option("Change by Title")
        assert serious_faults(tab.page) == []
        tab.page.keyboard.press("Escape")
        expect(question).to_be_hidden()
        assert sent == []
        drop(tab, "shop.csv", text)
        question.get_by_label("Items that exist already").select_option("Change by Title")
        tab.page.set_viewport_size({"width": 390, "height": 844})
        assert question.evaluate("one => one.scrollWidth <= one.clientWidth")
        question.get_by_role("button", name="Import 2 rows").click()
        expect(end(tab)).to_contain_text("1 item updated, 1 failed", timeout=60_000)

        changed = find_item(system, "Turned oak")
        assert (changed["price"], changed["tags"], changed["shelf"]) == (129.5, ["garden", "sale"], 5)


class TestConnection:
    def test_temporary_errors_are_retried(self, tab: Tab, sent: list[str]) -> None:
        tab.expect_fault("503")
        troubles = iter(range(2))

        def progress(route: Route) -> None:
            if next(troubles, None) is None:
                route.continue_()
            else:
                route.fulfill(status=503, json=BUSY, headers={"Retry-After": "1"})

        tab.page.route("**/imports/*", progress)
        tab.import_file("calm.ndjson", '{"title": "Came through"}')

        expect(tab.card("Came through")).to_be_visible(timeout=60_000)
        expect(end(tab)).to_contain_text("1 item created")
        assert len(sent) == 1

    def test_import_without_progress_can_be_watched_again(self, tab: Tab, sent: list[str]) -> None:
        tab.page.clock.install()

        def standing(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, json=answer.json() | {"status": "running", "created": 0, "failed": 0})

        tab.page.route("**/imports/*", standing)
        tab.import_file("still.ndjson", '{"title": "Standing still"}')
        expect(tab.panel).to_contain_text("0 items created of 1")
        for _ in range(3):
            tab.page.clock.fast_forward(300_000)
        expect(tab.panel.get_by_role("alert")).to_contain_text("No progress for ten minutes")
        tab.page.unroute("**/imports/*")
        tab.press("Check again: Import still.ndjson")

        expect(tab.panel).to_contain_text("1 item created", timeout=60_000)
        assert len(sent) == 1

    def test_import_sent_twice_is_done_once(self, tab: Tab, sent: list[str]) -> None:
        tab.expect_fault("ERR_FAILED")

        def lose(route: Route) -> None:
            route.fetch()
            route.abort()

        tab.page.route("**/imports", lose, times=1)
        tab.import_file("lost.ndjson", '{"title": "Lost and found"}')

        tab.press("Try again: Import lost.ndjson")
        expect(tab.panel).to_contain_text("1 item created", timeout=60_000)
        expect(tab.card("Lost and found")).to_have_count(1, timeout=60_000)
        assert len(sent) == 2

    def test_throttled_import_is_retried(self, tab: Tab, sent: list[str]) -> None:
        tab.expect_fault("429")
        early = {"status": 429, "json": BUSY, "headers": {"Retry-After": "1"}}
        tab.page.route("**/imports", lambda route: route.fulfill(**early), times=1)
        tab.import_file("early.ndjson", '{"title": "In good time"}')

        expect(tab.card("In good time")).to_be_visible(timeout=60_000)
        assert len(sent) == 2

    def test_leaving_the_page_asks_while_a_file_is_sent(self, tab: Tab) -> None:
        tab.create("Something done here")
        tab.page.route("**/imports", lambda route: None)  # never responds
        tab.import_file("large.ndjson", '{"title": "Being sent"}')
        expect(tab.panel).to_contain_text("Uploading")

        assert tab.leave() == ["beforeunload"]
        tab.press("Cancel Import large.ndjson")
        expect(tab.panel).to_contain_text("Cancelled")
