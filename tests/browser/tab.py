"""A tab of the browser, and the user's actions in it."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import ConsoleMessage, Dialog, Locator, Page, Request, Route, expect

PHOTOGRAPHS = Path(__file__).parent / "photographs"


class File(NamedTuple):
    name: str
    type: str
    content: bytes

    @classmethod
    def photograph(cls, name: str, title: str | None = None) -> File:
        """Return a photograph of the folder `photographs`."""
        return cls(f"{title or name}.jpg", "image/jpeg", (PHOTOGRAPHS / f"{name}.jpg").read_bytes())


class Held:
    """Requests of one kind that are held until the test releases them."""

    def __init__(self, page: Page, method: str, url: str) -> None:
        self._method = method
        self._open = False
        self._waiting: list[Route] = []
        self._page = page
        page.route(url, self._handle)

    def _handle(self, route: Route) -> None:
        if route.request.method != self._method or self._open:
            route.fallback()
        else:
            self._waiting.append(route)

    def await_one(self) -> None:
        """Wait until a request is held."""
        for _ in range(200):
            if self._waiting:
                return
            self._page.wait_for_timeout(50)
        raise AssertionError(f"No {self._method} was sent.")

    def release(self) -> None:
        """Send the held requests, and hold no more."""
        self._open = True
        for route in self._waiting:
            route.continue_()

    def refuse(self, status: int, **body: str) -> None:
        """Respond to the held requests with an error, and hold no more."""
        self._open = True
        for route in self._waiting:
            route.fulfill(status=status, json=body)


class Transfers:
    """What the browser loads from the network, not from its caches, while a page is open."""

    def __init__(self, page: Page) -> None:
        self._urls: dict[str, str] = {}
        self._cached: set[str] = set()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._record_request)
        session.on("Network.requestServedFromCache", lambda event: self._cached.add(event["requestId"]))
        session.on("Network.responseReceived", self._record_response)

    def _record_request(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]

    def _record_response(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self._cached.add(event["requestId"])

    def of(self, part: str) -> list[str]:
        """Return the URLs that contain ``part``, one for each transfer."""
        return [url for id_, url in self._urls.items() if id_ not in self._cached and part in url]


_TRANSFER = """files => {
  const transfer = new DataTransfer();
  for (const {name, type, content} of files) {
    const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type}));
  }
  return transfer;
}"""


class Tab:
    """A tab that records faults: errors, violations of the page's policy, requests to third parties."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._faults: list[str] = []
        self._expected: list[str] = []
        page.on("console", self._record_message)
        page.on("pageerror", lambda error: self._faults.append(f"uncaught: {error}"))
        page.on("request", self._record_request)
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event =>"
            " console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
        )

    def _record_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._faults.append(message.text)

    def _record_request(self, request: Request) -> None:
        if not re.match(r"(https?://127\.0\.0\.1[:/]|data:|blob:)", request.url):
            self._faults.append(f"request to a third party: {request.url}")

    def expect_fault(self, words: str) -> None:
        """Ignore faults that contain these words. For example, the browser reports each error response."""
        self._expected.append(words)

    def assert_quiet(self) -> None:
        left = [fault for fault in self._faults if not any(words in fault for words in self._expected)]
        assert not left, left

    # ------------------------------------------------------------------------------------------------------ the console

    def open(self, url: str) -> None:
        """Open the console, and wait until the first items are shown."""
        self.page.goto(f"{url}/")
        expect(self.page.locator("#gallery")).not_to_have_attribute("aria-busy", "true")
        expect(self.page.locator("#gallery .skeleton")).to_have_count(0)

    def go_offline(self) -> None:
        """Take the network away as soon as all files of the page are loaded."""
        self.page.wait_for_load_state("networkidle")
        self.page.context.set_offline(True)

    def go_online(self) -> None:
        self.page.context.set_offline(False)

    def card(self, title: str) -> Locator:
        return self.page.locator(".card").filter(has=self.page.get_by_role("link", name=title, exact=True))

    def titles(self) -> list[str]:
        """Return the cards' titles in their order."""
        return self.page.locator(".card h2").all_inner_texts()

    def hold(self, method: str, url: str) -> Held:
        """Hold requests with that method and URL."""
        return Held(self.page, method, url)

    def view_item(self, title: str) -> None:
        """Open an item's view."""
        self.card(title).get_by_role("link").click()
        expect(self.dialog.get_by_role("heading", name=title, exact=True)).to_be_visible()

    def open_item(self, title: str) -> None:
        """Open an item's form."""
        self.view_item(title)
        self.press("Edit")
        expect(self.dialog.locator(".item-form")).to_be_visible()

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    @property
    def tray(self) -> Locator:
        return self.page.locator("#tray")

    @property
    def panel(self) -> Locator:
        """Return the panel with the progress of uploads, imports and exports."""
        return self.page.get_by_role("region", name="Uploads, imports and exports")

    def field(self, name: str) -> Locator:
        """Return the control of a declared field, which has a label, or of another one, which has its name."""
        by_label = self.dialog.get_by_label(name.capitalize(), exact=True)
        return by_label.or_(self.dialog.get_by_label(f"Value of {name}", exact=True))

    def press(self, name: str) -> None:
        """Click the button with that name, in the dialog if it is open."""
        within = self.dialog if self.dialog.is_visible() else self.page
        within.get_by_role("button", name=name, exact=True).first.click()

    def save(self) -> None:
        """Save the open form, and wait until the item's view is shown."""
        self.press("Save")
        expect(self.dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()

    def create(self, title: str) -> None:
        """Create an item with the form."""
        self.press("New item")
        self.field("title").fill(title)
        self.press("Create")
        expect(self.dialog).to_be_hidden()

    def drop(self, target: Locator | str, *files: File) -> None:
        """Drop files on an element."""
        at = self.page.locator(target) if isinstance(target, str) else target
        transfer = self._transfer(files)
        for kind in ("dragenter", "dragover", "drop"):
            at.dispatch_event(kind, {"dataTransfer": transfer})

    def import_file(self, name: str, text: str) -> None:
        """Drop a file to import, and confirm the preview."""
        self.drop("main", File(name, "", text.encode()))
        self.page.get_by_role("button", name=re.compile(r"^Import \d")).click()

    def paste(self, *files: File) -> None:
        """Paste files."""
        self.page.evaluate(
            "transfer => document.body.dispatchEvent(new ClipboardEvent('paste',"
            " {clipboardData: transfer, bubbles: true, cancelable: true}))",
            self._transfer(files),
        )

    def leave(self) -> list[str]:
        """Try to reload the page, and dismiss the browser's dialogs. Return the types of the dialogs."""
        dialogs: list[str] = []

        def stay(dialog: Dialog) -> None:
            dialogs.append(dialog.type)
            dialog.dismiss()

        self.page.on("dialog", stay)
        self.page.evaluate("setTimeout(() => location.reload())")
        self.page.wait_for_timeout(500)
        self.page.remove_listener("dialog", stay)
        return dialogs

    def _transfer(self, files: tuple[File, ...]) -> Any:
        encoded = [one._asdict() | {"content": base64.b64encode(one.content).decode()} for one in files]
        return self.page.evaluate_handle(_TRANSFER, encoded)

    def expect_picture(self, title: str) -> None:
        """Wait until a card shows a thumbnail, and check that it can be decoded."""
        image = self.card(title).locator("img:not(.preview)")
        expect(image).to_be_visible(timeout=60_000)
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)  # noqa: FBT003 - a value of a property
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
