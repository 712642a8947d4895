"""Uploads of pictures, with errors, cancellation and changes by others."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Locator, Route, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System
from tests.browser.tab import File, Tab
from tests.e2e.system import request

BUSY = {"error": "BACKEND_UNAVAILABLE", "message": "It is not available.", "requestId": "request-1"}
ONE_ITEM = re.compile(r"/items/[0-9a-f-]{36}$")
BUCKET = re.compile(r"/vitrine-local-\d+-[^/]*/?$")
TICKET = re.compile(r"/items/[0-9a-f-]{36}/image$")


@pytest.fixture(autouse=True)
def at_the_console(system: System, tab: Tab) -> Iterator[None]:
    tab.open(system.url)
    yield
    tab.page.unroute_all(behavior="ignoreErrors")


@pytest.fixture
def bucket(tab: Tab) -> Bucket:
    return Bucket(tab)


class Bucket:
    """Counts the tab's uploads, and can hold them."""

    def __init__(self, tab: Tab) -> None:
        self.uploads = 0
        self._held: list[Route] | None = None
        tab.page.route(BUCKET, self._handle)

    def hold(self) -> None:
        self._held = []

    def release(self) -> None:
        held, self._held = self._held or [], None
        for route in held:
            route.continue_()

    def _handle(self, route: Route) -> None:
        self.uploads += route.request.method == "POST"
        if self._held is None:
            route.continue_()
        else:
            self._held.append(route)


class Answers:
    """Changes the API's responses about single items."""

    def __init__(self, tab: Tab) -> None:
        self.image: dict[str, Any] | str | None = "as it is"
        self.refuse: tuple[int, dict[str, str]] | None = None
        self.requests = 0
        tab.page.route(ONE_ITEM, self._handle)

    def _handle(self, route: Route) -> None:
        if route.request.method != "GET":
            route.continue_()
            return
        self.requests += 1
        if self.refuse is not None:
            status, headers = self.refuse
            route.fulfill(status=status, json=BUSY, headers=headers)
            return
        if self.image == "as it is":
            route.continue_()
            return
        answer = route.fetch()
        item = answer.json()
        if self.image is None:
            item.pop("image", None)
        else:
            item["image"] = self.image
        route.fulfill(response=answer, json=item | {"version": item["version"] + 10})


@pytest.fixture
def answers(tab: Tab) -> Answers:
    return Answers(tab)


PROCESSING = {"status": "processing"}


def entry(tab: Tab, name: str) -> Locator:
    return tab.panel.locator("li").filter(has=tab.page.get_by_text(name, exact=True))


class TestOneItem:
    def test_newer_upload_cancels_an_older_one(self, tab: Tab, answers: Answers) -> None:
        tab.create("Twice")
        answers.image = PROCESSING
        tab.drop(tab.card("Twice"), File.photograph("moon"))
        expect(entry(tab, "moon.jpg")).to_contain_text("Processing")
        tab.drop(tab.card("Twice"), File.photograph("coffee"))
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Replace").click()

        expect(entry(tab, "moon.jpg")).to_contain_text("Replaced by coffee.jpg")
        answers.image = "as it is"
        expect(entry(tab, "coffee.jpg")).to_contain_text("Ready", timeout=60_000)

    def test_removed_picture_is_not_waited_for(self, tab: Tab, answers: Answers) -> None:
        tab.create("Taken off")
        answers.image = PROCESSING
        tab.drop(tab.card("Taken off"), File.photograph("moon"))
        expect(tab.card("Taken off")).to_contain_text("Processing")
        answers.image = None

        expect(entry(tab, "moon.jpg")).to_contain_text("The picture was removed")

    def test_older_failure_is_ignored(self, tab: Tab) -> None:
        tab.create("Second try")
        tab.drop(tab.card("Second try"), File("Torn.jpg", "image/jpeg", b"\xff\xd8\xff and nothing else"))
        expect(tab.tray.get_by_role("alert")).to_contain_text("is damaged or incomplete", timeout=60_000)
        tab.drop(tab.card("Second try"), File.photograph("moon"))

        expect(entry(tab, "moon.jpg")).to_contain_text("Ready", timeout=60_000)

    def test_picture_uploaded_elsewhere_is_shown(self, system: System, tab: Tab, answers: Answers) -> None:
        tab.expect_fault("503")
        item = request("POST", f"{system.url}/items", {"title": "From a phone"}).json()
        path = f"{system.url}/items/{item['id']}/image"
        ticket = request("POST", path, {"contentType": "image/jpeg"}).json()["upload"]
        answers.refuse = (503, {})
        tab.open(system.url)
        expect(tab.card("From a phone")).to_contain_text("Upload pending")
        picture = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": File.photograph("rocket").content}
        sent = tab.page.request.post(ticket["url"], multipart={**ticket["fields"], "file": picture})
        assert sent.ok
        answers.refuse = None

        tab.expect_picture("From a phone")


class TestConnection:
    def test_temporary_errors_send_the_file_once(self, tab: Tab, bucket: Bucket, answers: Answers) -> None:
        tab.expect_fault("503")
        tab.create("Patience")
        answers.image = PROCESSING
        tab.drop(tab.card("Patience"), File.photograph("rocket"))
        expect(entry(tab, "rocket.jpg")).to_contain_text("Processing")
        answers.refuse = (503, {})
        expect(entry(tab, "rocket.jpg")).to_contain_text("retrying")
        answers.refuse, answers.image = None, "as it is"

        expect(entry(tab, "rocket.jpg")).to_contain_text("Ready", timeout=60_000)
        assert bucket.uploads == 1

    def test_retry_after_is_respected(self, tab: Tab, answers: Answers) -> None:
        tab.expect_fault("429")
        tab.page.clock.install()
        tab.create("Throttled")
        answers.image = PROCESSING
        tab.drop(tab.card("Throttled"), File.photograph("rocket"))
        expect(entry(tab, "rocket.jpg")).to_contain_text("Processing")
        answers.refuse = (429, {"Retry-After": "60"})
        expect(entry(tab, "rocket.jpg")).to_contain_text("many requests")
        requests = answers.requests
        tab.page.clock.run_for(50_000)
        assert answers.requests == requests
        answers.refuse, answers.image = None, "as it is"
        tab.page.clock.run_for(30_000)

        expect(entry(tab, "rocket.jpg")).to_contain_text("Ready", timeout=60_000)

    def test_upload_continues_when_online_again(self, tab: Tab, answers: Answers) -> None:
        tab.expect_fault("ERR_INTERNET_DISCONNECTED")
        tab.create("In a tunnel")
        answers.image = PROCESSING
        tab.drop(tab.card("In a tunnel"), File.photograph("rocket"))
        expect(entry(tab, "rocket.jpg")).to_contain_text("Processing")
        tab.go_offline()
        answers.image = "as it is"
        expect(entry(tab, "rocket.jpg")).to_contain_text("Offline")
        tab.go_online()

        expect(entry(tab, "rocket.jpg")).to_contain_text("Ready", timeout=10_000)

    def test_files_added_offline_are_uploaded_later(self, tab: Tab) -> None:
        tab.expect_fault("ERR_INTERNET_DISCONNECTED")
        tab.go_offline()
        tab.drop("main", *(File.photograph("coffee", f"On the train {n}") for n in range(4)))
        expect(tab.page.locator("#offline")).to_contain_text("Uploads continue when you are online again")
        expect(entry(tab, "On the train 0.jpg")).to_contain_text("Offline, continues when you are online")
        assert is_decoded(entry(tab, "On the train 0.jpg").locator("img"))
        expect(entry(tab, "On the train 3.jpg")).to_contain_text("Waiting")
        tab.go_online()

        for n in range(4):
            tab.expect_picture(f"On the train {n}")
        expect(tab.page.locator("#offline")).to_be_hidden()

    def test_slow_rendering_can_be_watched_again(self, tab: Tab, bucket: Bucket, answers: Answers) -> None:
        tab.page.clock.install()
        tab.create("Slow")
        answers.image = PROCESSING
        tab.drop(tab.card("Slow"), File.photograph("rocket"))
        expect(entry(tab, "rocket.jpg")).to_contain_text("Processing")
        for _ in range(3):
            tab.page.clock.fast_forward(120_000)
        expect(entry(tab, "rocket.jpg")).to_contain_text("longer than usual")
        answers.image = "as it is"
        tab.press("Check again: rocket.jpg")

        expect(entry(tab, "rocket.jpg")).to_contain_text("Ready", timeout=60_000)
        assert bucket.uploads == 1

    def test_failed_upload_can_be_retried(self, tab: Tab) -> None:
        tab.expect_fault("ERR_FAILED")
        tab.create("Torn line")
        tab.page.route(TICKET, lambda route: route.abort(), times=1)
        tab.drop(tab.card("Torn line"), File.photograph("rocket"))
        tab.press("Try again: rocket.jpg")

        tab.expect_picture("Torn line")


class TestManyUploads:
    def test_slow_thumbnails_do_not_delay_uploads(self, tab: Tab, bucket: Bucket, answers: Answers) -> None:
        answers.image = PROCESSING
        tab.drop("main", *(File.photograph("coffee", f"Cup {n}") for n in range(5)))

        expect(tab.panel.get_by_text("Processing")).to_have_count(5)
        assert bucket.uploads == 5

    def test_summary_and_retry_all(self, tab: Tab, bucket: Bucket) -> None:
        tab.expect_fault("ERR_FAILED")
        refused = iter((True, True, False, False))

        def ticket(route: Route) -> None:
            route.abort() if next(refused, False) else route.continue_()

        tab.page.route(TICKET, ticket)
        bucket.hold()
        tab.drop("main", *(File.photograph("coffee", f"Lot {n}") for n in range(4)))
        expect(tab.panel.get_by_role("button", name="0 of 4 pictures ready · 2 failed")).to_be_visible()
        assert serious_faults(tab.page) == []
        tab.panel.get_by_role("button", name="Retry all").click()
        expect(tab.panel.get_by_role("button", name="0 of 4 pictures ready", exact=True)).to_be_visible()
        bucket.release()

        expect(tab.panel.get_by_role("button", name="4 pictures ready")).to_be_visible(timeout=60_000)
        expect(tab.page.locator("#announcer")).to_have_text("4 pictures ready")
        expect(tab.panel).to_be_hidden()

    def test_cancelled_upload_frees_its_slot(self, tab: Tab, bucket: Bucket) -> None:
        bucket.hold()
        tab.drop("main", *(File.photograph("coffee", f"Order {n}") for n in range(4)))
        expect(entry(tab, "Order 3.jpg")).to_contain_text("Waiting")
        tab.panel.get_by_role("button", name="Cancel Order 1.jpg").click()

        expect(entry(tab, "Order 1.jpg")).to_contain_text("Cancelled")
        bucket.release()
        tab.expect_picture("Order 3")
        expect(tab.card("Order 1").locator("img")).to_have_count(0)

    def test_all_uploads_can_be_cancelled(self, tab: Tab, bucket: Bucket) -> None:
        bucket.hold()
        tab.drop("main", *(File.photograph("coffee", f"Round {n}") for n in range(4)))
        tab.panel.get_by_role("button", name="Cancel all").click()

        expect(tab.panel).to_be_hidden()

    def test_panel_is_folded_on_a_phone(self, tab: Tab, bucket: Bucket) -> None:
        tab.page.set_viewport_size({"width": 360, "height": 700})
        tab.page.reload()
        bucket.hold()
        tab.drop("main", *(File.photograph("coffee", f"Seat {n}") for n in range(12)))
        line = tab.panel.get_by_role("button", name="0 of 12 pictures ready")
        expect(line).to_have_attribute("aria-expanded", "false")
        assert tab.panel.bounding_box()["height"] < 70
        assert serious_faults(tab.page) == []
        line.focus()
        tab.page.keyboard.press("Enter")

        expect(entry(tab, "Seat 11.jpg")).to_be_attached()
        assert tab.panel.bounding_box()["height"] < 350
        assert serious_faults(tab.page) == []


class TestLeaving:
    def test_leaving_asks_while_a_file_is_sent(self, tab: Tab, bucket: Bucket) -> None:
        tab.create("Not yet there")  # A browser asks only if the user has done something.
        bucket.hold()
        tab.drop(tab.card("Not yet there"), File.photograph("moon"))
        expect(entry(tab, "moon.jpg")).to_be_visible()

        assert tab.leave() == ["beforeunload"]
        bucket.release()
        expect(entry(tab, "moon.jpg")).to_contain_text("Processing")
        assert tab.leave() == []

    def test_upload_continues_with_a_new_token(self, tab: Tab) -> None:
        tab.expect_fault("401")
        refusal = {"error": "UNAUTHORIZED", "message": "The token is over.", "requestId": "request-1"}
        tab.create("Late")
        tab.page.route(TICKET, lambda route: route.fulfill(status=401, json=refusal), times=1)
        tab.drop(tab.card("Late"), File.photograph("moon"))
        expect(entry(tab, "moon.jpg")).to_contain_text("The token is over.")
        assert serious_faults(tab.page) == []
        tab.panel.get_by_label("Enter a new one").fill("Bearer of.good.news")
        tab.press("Use token and try again")

        tab.expect_picture("Late")
        assert "of.good.news" in tab.page.evaluate("sessionStorage.getItem('vitrine.session')")


def test_answer_of_another_server_is_an_error(system: System, tab: Tab) -> None:
    hotel = "<html><h1>Welcome to our Wi-Fi</h1></html>"
    tab.page.route("**/items?*", lambda route: route.fulfill(status=200, body=hotel, content_type="text/html"))
    tab.page.reload()

    expect(tab.page.get_by_role("alert")).to_contain_text("not from the server")


def test_panel_is_usable_in_a_dialog(tab: Tab, bucket: Bucket) -> None:
    bucket.hold()
    tab.create("Beside")
    tab.drop(tab.card("Beside"), File.photograph("moon"))
    tab.open_item("Beside")

    expect(tab.dialog.get_by_role("button", name="Uploading 1 picture")).to_be_visible()
    tab.dialog.get_by_role("button", name="Cancel moon.jpg").click()
    expect(tab.dialog.locator(".progress-panel")).to_contain_text("Cancelled")


def is_decoded(picture: Locator) -> bool:
    """Return whether an image element shows a picture."""
    found: bool = picture.evaluate("one => one.decode().then(() => one.naturalWidth > 0, () => false)")
    return found


COUNTED = """
  window.counted = { open: new Set(), decoding: 0, mostDecoding: 0 };
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = blob => {
    const url = createObjectURL.call(URL, blob);
    counted.open.add(url);
    return url;
  };
  URL.revokeObjectURL = url => {
    counted.open.delete(url);
    revokeObjectURL.call(URL, url);
  };
  const decode = createImageBitmap;
  window.createImageBitmap = async (...all) => {
    counted.decoding += 1;
    counted.mostDecoding = Math.max(counted.mostDecoding, counted.decoding);
    return decode(...all).finally(() => (counted.decoding -= 1));
  };
"""


class TestPreviews:
    def test_picture_is_shown_before_it_is_sent(self, tab: Tab, bucket: Bucket) -> None:
        bucket.hold()
        tab.drop("main", File.photograph("rocket", "At once"))
        preview = tab.card("At once").locator("img.preview")
        expect(preview).to_be_visible()
        assert is_decoded(preview)
        assert is_decoded(entry(tab, "At once.jpg").locator("img"))
        expect(tab.card("At once").locator(".chip:visible")).to_have_text("Uploading")
        expect(entry(tab, "At once.jpg").locator(".message")).to_have_text("Uploading")

        tab.view_item("At once")
        expect(tab.dialog.locator("img.preview")).to_be_visible()
        expect(tab.dialog.locator(".stage .chip:visible")).to_have_text("Uploading")
        assert serious_faults(tab.page) == []
        bucket.release()
        expect(tab.dialog.get_by_role("img", name="Picture of At once")).to_be_visible(timeout=60_000)
        expect(tab.page.locator(".preview, .upload-state")).to_have_count(0)

    def test_replacement_is_shown_at_once(self, tab: Tab, bucket: Bucket) -> None:
        tab.create("Changed")
        tab.drop(tab.card("Changed"), File.photograph("moon"))
        tab.expect_picture("Changed")
        bucket.hold()
        tab.drop(tab.card("Changed"), File.photograph("coffee"))
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Replace").click()

        expect(tab.card("Changed").locator("img.preview")).to_be_visible()
        tab.panel.get_by_role("button", name="Cancel coffee.jpg").click()
        expect(tab.card("Changed").locator("img.preview")).to_have_count(0)
        tab.expect_picture("Changed")

    def test_previews_are_made_two_at_a_time_and_freed(self, system: System, tab: Tab, bucket: Bucket) -> None:
        tab.page.add_init_script(COUNTED)
        tab.open(system.url)
        bucket.hold()
        tab.drop("main", *(File.photograph("coffee", f"Plate {n}") for n in range(12)))
        expect(tab.card("Plate 0").locator("img.preview")).to_be_visible()
        bucket.release()
        expect(tab.panel).to_be_hidden(timeout=60_000)

        assert tab.page.evaluate("[counted.mostDecoding, counted.open.size]") == [2, 0]

    def test_undecodable_picture_has_no_broken_image(self, tab: Tab, bucket: Bucket) -> None:
        bucket.hold()
        tab.drop("main", File("Scan.tif", "image/tiff", b"II*\0 which the browser cannot show"))

        expect(tab.card("Scan").locator(".chip:visible")).to_have_text("Uploading")
        expect(tab.card("Scan").locator(".letter")).to_be_visible()
        expect(tab.card("Scan").locator("img")).to_have_count(0)
        expect(tab.panel.locator("img")).to_have_count(0)

    def test_turned_photograph_is_upright(self, tab: Tab, bucket: Bucket) -> None:
        bucket.hold()
        content = io.BytesIO()
        with Image.open(io.BytesIO(File.photograph("rocket").content)) as picture:
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = 6
            picture.save(content, "JPEG", exif=exif)
        tab.drop("main", File("Turned.jpg", "image/jpeg", content.getvalue()))
        preview = tab.card("Turned").locator("img.preview")
        expect(preview).to_be_visible()

        ratio = preview.evaluate("one => one.decode().then(() => one.naturalWidth / one.naturalHeight)")
        assert ratio == pytest.approx(picture.height / picture.width, abs=0.01)

    def test_rows_stay_in_their_places(self, tab: Tab, bucket: Bucket) -> None:
        bucket.hold()
        tab.drop("main", *(File.photograph("coffee", f"Row {n}") for n in range(4)))
        expect(entry(tab, "Row 2.jpg")).to_contain_text("Uploading")
        tops = "() => [...document.querySelectorAll('.progress-panel li')].map(one => one.offsetTop)"
        before = tab.page.evaluate(tops)
        bucket.release()
        for n in range(4):
            expect(entry(tab, f"Row {n}.jpg")).to_contain_text("Ready", timeout=60_000)

        assert tab.page.evaluate(tops) == before


class TestRefused:
    def test_another_file_makes_the_item_of_a_refused_one(self, tab: Tab) -> None:
        tab.drop("main", File("Minutes.pdf", "application/pdf", b"%PDF-1.7"))
        expect(tab.tray.get_by_role("alert")).to_contain_text("PDF is not supported")
        with tab.page.expect_file_chooser() as chooser:
            tab.panel.get_by_role("button", name="Choose another picture: Minutes.pdf").click()
        moon = File.photograph("moon", "Instead of the minutes")
        chooser.value.set_files({"name": moon.name, "mimeType": moon.type, "buffer": moon.content})

        tab.expect_picture("Instead of the minutes")
        expect(tab.panel.get_by_text("Minutes.pdf")).to_have_count(0)

    def test_heic_error_says_how_to_save_it(self, tab: Tab, bucket: Bucket) -> None:
        tab.create("From an iPhone")
        tab.drop(tab.card("From an iPhone"), File("IMG_0042.HEIC", "image/heic", b"\0\0\0\x18ftypheic"))

        expect(tab.tray.get_by_role("alert")).to_contain_text(
            "HEIC is not supported: save the picture as JPEG or PNG and upload that; on an iPhone: Settings, Camera,"
        )
        expect(tab.panel.locator("img")).to_have_count(0)
        with tab.page.expect_file_chooser() as chooser:
            tab.panel.get_by_role("button", name="Choose another picture: IMG_0042.HEIC").click()
        moon = File.photograph("moon")
        chooser.value.set_files({"name": moon.name, "mimeType": moon.type, "buffer": moon.content})
        tab.expect_picture("From an iPhone")
        assert bucket.uploads == 1

    def test_expired_ticket_is_renewed_silently(self, tab: Tab) -> None:
        tab.expect_fault("403")
        refusal = (
            "<Error><Code>AccessDenied</Code><Message>Invalid according to Policy: Policy expired.</Message></Error>"
        )
        headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/xml"}
        tab.page.route(BUCKET, lambda route: route.fulfill(status=403, body=refusal, headers=headers), times=1)
        tab.create("Slept through")
        tab.drop(tab.card("Slept through"), File.photograph("moon"))

        tab.expect_picture("Slept through")
        expect(tab.tray.get_by_role("alert")).to_have_count(0)
