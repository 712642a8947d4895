"""The console's page of webhooks."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System
from tests.browser.tab import Tab


def test_failing_webhook_is_named_in_the_header(system: System, tab: Tab) -> None:
    failing = {"id": "w", "url": "https://a.example", "events": ["*"], "status": "failing", "createdAt": "2026-01-01"}
    tab.page.route("**/webhooks", lambda route: route.fulfill(json={"webhooks": [failing]}))
    tab.page.goto(f"{system.url}/#webhooks")
    expect(tab.dialog.get_by_role("link", name="https://a.example")).to_be_visible()
    tab.page.goto("about:blank")
    tab.open(system.url)  # The browser knows now that there are webhooks.

    expect(tab.page.get_by_role("banner").get_by_role("link", name="1 webhook failing")).to_be_visible()
    assert serious_faults(tab.page) == []
