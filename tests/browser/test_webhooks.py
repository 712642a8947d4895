"""The console's page of webhooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System
from tests.browser.tab import Tab


class Receiver(ThreadingHTTPServer):
    """A receiver of webhooks, which answers as the test wants."""

    status, text = 204, ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/in"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.text)))
        self.end_headers()
        self.wfile.write(self.server.text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_webhook_is_made_tried_changed_and_deleted(system: System, tab: Tab, receiver: Receiver) -> None:
    page = tab.page.locator("#item")
    newest = page.get_by_role("list", name="Deliveries").get_by_role("listitem").first
    secret = page.get_by_label("Secret, shown only once")
    form = tab.page.get_by_role("dialog", name=re.compile("webhook$"))
    question = tab.page.get_by_role("alertdialog")
    tab.open(system.url)
    tab.page.get_by_role("link", name="Webhooks").click()
    expect(page).to_contain_text("There is no webhook yet.")
    tab.press("Add webhook")
    form.get_by_label("Address of the receiver").fill(receiver.url)
    assert serious_faults(tab.page) == []
    form.get_by_role("button", name="Add", exact=True).click()
    expect(secret).to_have_value(re.compile("^whsec_"))
    assert serious_faults(tab.page) == []

    tab.press("Send a test")
    expect(newest).to_contain_text(re.compile("Succeeded.*Test.*Status 204"))
    receiver.status, receiver.text = 500, "Out of order"
    tab.press("Send a test")
    expect(newest).to_contain_text(re.compile("Failed.*Status 500.*1 attempt"))
    newest.get_by_text("The answer").click()
    expect(newest.get_by_text("Out of order")).to_be_visible()
    receiver.status, receiver.text = 204, ""
    newest.get_by_role("button", name="Send again").click()
    expect(newest).to_contain_text("Succeeded")

    first = secret.input_value()
    tab.press("Replace the secret")
    question.get_by_role("button", name="Replace").click()
    expect(secret).not_to_have_value(first)
    expect(page).to_contain_text("Also signs until")
    tab.press("Edit")
    form.get_by_label("All, also those of later versions").uncheck()
    form.get_by_label("Item deleted").check()
    form.get_by_role("button", name="Save").click()
    expect(page).to_contain_text(re.compile("Events.*Item deleted"))
    tab.press("Switch off")
    expect(page.locator(".state.off")).to_have_text("Switched off")
    expect(page.get_by_role("button", name="Send a test")).to_be_disabled()

    tab.page.reload()
    tab.press("Switch on")
    expect(page.locator(".state").first).to_have_text("Active")
    expect(secret).to_have_count(0)
    tab.page.set_viewport_size({"width": 390, "height": 844})
    tab.page.emulate_media(color_scheme="dark")
    assert page.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
    assert serious_faults(tab.page) == []
    tab.press("Delete")
    question.get_by_role("button", name="Delete").click()
    expect(page).to_contain_text("There is no webhook yet.")
    tab.page.go_back()
    expect(page).to_be_hidden()


def test_failing_webhook_is_named_in_the_header(system: System, tab: Tab) -> None:
    failing = {"id": "w", "url": "https://a.example", "events": ["*"], "status": "failing", "createdAt": "2026-01-01"}
    tab.page.route("**/webhooks", lambda route: route.fulfill(json={"webhooks": [failing]}))
    tab.page.goto(f"{system.url}/#webhooks")
    expect(tab.dialog.get_by_role("link", name="https://a.example")).to_be_visible()
    tab.page.goto("about:blank")
    tab.open(system.url)  # The browser knows now that there are webhooks.

    expect(tab.page.get_by_role("banner").get_by_role("link", name="1 webhook failing")).to_be_visible()
    assert serious_faults(tab.page) == []
