"""The API reference."""

from __future__ import annotations

import json
import time

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System
from tests.browser.screenshots import take_screenshot
from tests.browser.tab import Tab
from tests.e2e.system import request


@pytest.fixture(autouse=True)
def at_the_page(system: System, tab: Tab) -> None:
    tab.page.goto(f"{system.url}/docs")
    expect(tab.page.get_by_role("heading", name="Vitrine API")).to_be_visible()


def test_every_operation_is_shown(system: System, tab: Tab) -> None:
    document = request("GET", f"{system.url}/openapi.json").json()
    routes = tab.page.locator("details.operation")

    assert routes.count() == sum(len(methods) for methods in document["paths"].values())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            route = routes.filter(has=tab.page.locator(f"summary .method.{method}")).filter(
                has=tab.page.locator("summary code.path").get_by_text(path, exact=True)
            )
            route.evaluate("route => route.open = true")
            expect(route.locator(".try")).to_be_visible()
            assert route.locator(".columns").evaluate("one => one.scrollHeight === one.clientHeight"), (method, path)
            text = route.evaluate("route => route.textContent")
            codes = [code for status in operation["responses"].values() for code in status["description"].split(", ")]
            names = [one["name"] for one in operation.get("parameters", [])]
            for word in (operation["summary"], *operation["responses"], *names, *codes):
                assert word.replace("`", "") in text, (method, path, word)


def test_every_event_is_shown(system: System, tab: Tab) -> None:
    document = request("GET", f"{system.url}/openapi.json").json()
    assert tab.page.locator("details.event .path").all_inner_texts() == list(document["webhooks"])

    tab.page.locator("#contents").get_by_role("link", name="item.deleted").click()

    event = tab.page.locator("#event-item-deleted")
    for text in ("webhook-signature", "reason", '"type": "item.deleted"'):
        expect(event.get_by_text(text).first).to_be_visible()


def test_guide_is_rendered_and_linked(tab: Tab) -> None:
    guide = tab.page.locator(".guide")
    assert "##" not in guide.inner_text()
    assert "`" not in guide.inner_text()
    tab.page.locator("#contents").get_by_role("link", name="Creating once").click()

    expect(guide.get_by_role("heading", name="Creating once")).to_be_in_viewport()


def test_request_is_sent_from_an_example(system: System, tab: Tab) -> None:
    tab.page.locator("#contents a[href='#post-items']").click()
    route = tab.page.locator("#post-items")
    route.get_by_label("Example").select_option("untilThen")
    assert "expiresAt" in route.get_by_label("Body", exact=True).last.input_value()
    expect(route.locator(".curl")).to_contain_text("curl -i -X POST")
    route.get_by_role("button", name="Send").click()

    expect(route.locator(".result")).to_contain_text("201")
    expect(route.locator(".result")).to_contain_text('"expiresAt": "2100-01-31T12:00:00.000Z"')
    take_screenshot(tab.page, "docs")


def test_each_request_creates_another_item(tab: Tab) -> None:
    tab.page.locator("#contents a[href='#post-items']").click()
    route = tab.page.locator("#post-items")
    for title in ("One", "Another"):
        route.get_by_label("Body", exact=True).last.fill(json.dumps({"title": title}))
        route.get_by_role("button", name="Send").click()
        expect(route.locator(".result")).to_contain_text(f'"title": "{title}"')
        expect(route.locator(".result")).to_contain_text("201")


def test_typed_idempotency_key_stays(tab: Tab) -> None:
    tab.expect_fault("422")
    tab.page.locator("#contents a[href='#post-items']").click()
    route = tab.page.locator("#post-items")
    route.get_by_label("Idempotency-Key").fill(f"mine-{time.time_ns()}")
    for status in ("201", "422"):
        route.get_by_label("Body", exact=True).last.fill(json.dumps({"title": status}))
        route.get_by_role("button", name="Send").click()
        expect(route.locator(".result b.status")).to_have_text(status)


def test_items_are_filtered_and_sorted(tab: Tab) -> None:
    tab.page.locator("#contents a[href='#get-items']").click()
    route = tab.page.locator("#get-items")
    expect(route.locator("li li").filter(has_text="updatedAt").first).to_contain_text("eq, gt, gte, lt, lte, in")
    route.get_by_role("button", name="Add a filter").click()
    for number, (operator, value) in enumerate([("gte", "2000-01-01T00:00:00Z"), ("lt", "2000-01-02T00:00:00Z")]):
        route.get_by_label("filter: field").nth(number).select_option("updatedAt")
        route.get_by_label("filter: operator").nth(number).select_option(operator)
        route.get_by_label("filter: value").nth(number).fill(value)
    route.get_by_label("sort").select_option("-updatedAt")
    route.get_by_role("button", name="Send").click()

    expect(route.locator(".result")).to_contain_text('"count": 0')
    expect(route.locator(".curl")).to_contain_text("filter%5BupdatedAt%5D%5Bgte%5D=2000-01-01")


def test_contents_are_folded_on_a_phone(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    contents = tab.page.locator("#contents")
    link = contents.get_by_role("link", name="Creating once")
    expect(link).to_be_hidden()
    contents.get_by_text("Contents", exact=True).click()
    link.click()

    expect(tab.page.locator(".guide").get_by_role("heading", name="Creating once")).to_be_in_viewport()
    expect(link).to_be_hidden()


def test_error_response_is_shown(tab: Tab) -> None:
    tab.expect_fault("404")
    tab.page.goto(tab.page.url.partition("#")[0] + "#get-items-item-id")
    route = tab.page.locator("#get-items-item-id")
    route.get_by_label("item_id").fill("none")
    route.get_by_role("button", name="Send").click()

    expect(route.locator(".result")).to_contain_text("ITEM_NOT_FOUND")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_api_reference_is_accessible(tab: Tab, width: int, scheme: str) -> None:
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    route = tab.page.locator("#post-items")
    route.evaluate("route => route.open = true")
    route.locator("details.response").evaluate_all("answers => answers.forEach(one => (one.open = true))")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".result")).to_contain_text("201")

    assert serious_faults(tab.page) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
