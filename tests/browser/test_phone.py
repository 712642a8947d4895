"""The console on a phone: sizes, touches and the camera."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item
from tests.browser.tab import File, Tab

BUCKET = re.compile(r"/vitrine-local-\d+-[^/]*/?$")

# Elements beyond the right edge, apart from those that scroll in a box of their own.
OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth;
  const isOutside = one => one.checkVisibility() && one.getBoundingClientRect().right > width + 1
    && !one.closest('.visually-hidden, .table');
  const outside = [...document.querySelectorAll('button, input, select, textarea, a, h1, h2, p, dd')].filter(isOutside);
  return [document.documentElement.scrollWidth - width, ...outside.map(one => one.outerHTML)];
}"""

# WCAG 2.2, 2.5.5 excepts links in sentences. The hit area of a checkbox on a card is larger than its box.
SMALL_TARGETS = """() => [...document.querySelectorAll('button, select, input')]
  .filter(one => !one.matches('.link, [type=checkbox], [type=radio]'))
  .filter(one => one.checkVisibility() && !one.closest('.visually-hidden'))
  .map(one => [one, one.getBoundingClientRect()])
  .filter(([one, { width, height }]) => width > 0 && (width < 44 || height < 44))
  .map(([one]) => one.outerHTML)"""

# Safari on a phone zooms in when an input with less than 16 px gets the focus.
SMALL_INPUTS = """() => [...document.querySelectorAll('input, select, textarea')]
  .filter(one => one.checkVisibility() && parseFloat(getComputedStyle(one).fontSize) < 16).map(one => one.outerHTML)"""


@pytest.fixture
def phone(browser: Browser, system: System) -> Iterator[Callable[[int], Tab]]:
    """Return a function that opens the console on a phone of that width."""
    tabs: list[Tab] = []

    def open_phone(width: int = 390) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": 700}, has_touch=True, is_mobile=True, reduced_motion="reduce"
        )
        context.set_default_timeout(20_000)
        tab = Tab(context.new_page())
        tabs.append(tab)
        tab.open(system.url)
        return tab

    yield open_phone
    for tab in tabs:
        tab.page.unroute_all(behavior="ignoreErrors")
        tab.page.context.close()
        tab.assert_quiet()


def faults(tab: Tab) -> dict[str, list[str | int]]:
    """Return what does not fit on a phone."""
    found = {name: tab.page.evaluate(script) for name, script in (("small", SMALL_TARGETS), ("inputs", SMALL_INPUTS))}
    overflowing = tab.page.evaluate(OVERFLOWING)
    return {name: value for name, value in (*found.items(), ("overflowing", overflowing)) if value not in ([], [0])}


@pytest.mark.parametrize("width", [390, 320])
def test_everything_fits(system: System, phone: Callable[[int], Tab], width: int) -> None:
    title = f"A vase with a name that is long enough for two lines on {width} pixels"
    create_item(system, title=title, place="Pier 9", price=12.5)
    tab = phone(width)
    assert faults(tab) == {}

    tab.page.route(BUCKET, lambda route: None if route.request.method == "POST" else route.continue_())
    tab.drop("main", *(File.photograph("coffee", f"Cup {n} of {width}") for n in range(3)))
    tab.panel.locator(".toggle").click()
    expect(tab.panel.get_by_text("Uploading").first).to_be_visible()
    assert faults(tab) == {}
    assert serious_faults(tab.page) == []
    tab.panel.get_by_role("button", name="Cancel all").click()
    expect(tab.panel).to_be_hidden()

    tab.page.evaluate("scrollTo(0, 0)")
    tab.view_item(title)
    assert faults(tab) == {}
    assert serious_faults(tab.page) == []
    tab.press("Edit")
    expect(tab.dialog.locator(".item-form")).to_be_visible()
    assert faults(tab) == {}


class Fingers:
    """Touches on an element, in shares of its width and height."""

    def __init__(self, tab: Tab, element: Locator) -> None:
        box = element.bounding_box()
        assert box is not None
        self._box = box
        self._session = tab.page.context.new_cdp_session(tab.page)

    def _send(self, kind: str, *points: tuple[float, float]) -> None:
        box = self._box
        touches = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": n}
            for n, (x, y) in enumerate(points)
        ]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def move(self, *paths: tuple[tuple[float, float], tuple[float, float]]) -> None:
        """Move one finger for each path, from its start to its end."""
        self._send("touchStart", *(start for start, _ in paths))
        for step in range(1, 6):
            self._send("touchMove", *((a + (c - a) * step / 5, b + (d - b) * step / 5) for (a, b), (c, d) in paths))
        self._send("touchEnd")


def test_swipes_lead_to_neighbours(system: System, phone: Callable[[], Tab]) -> None:
    for n in (1, 2):
        create_item(system, title=f"Swiped {n}")
    tab = phone()
    tab.drop(tab.card("Swiped 2"), File.photograph("moon"))
    tab.expect_picture("Swiped 2")
    tab.drop(tab.card("Swiped 1"), File.photograph("coffee"))
    tab.expect_picture("Swiped 1")
    tab.view_item("Swiped 2")
    expect(tab.dialog.get_by_role("img", name="Picture of Swiped 2")).to_be_visible()
    Fingers(tab, tab.dialog.locator(".frame.large")).move(((0.8, 0.5), (0.2, 0.5)))
    expect(tab.dialog.get_by_role("heading")).to_have_text("Swiped 1")
    Fingers(tab, tab.dialog.locator(".frame.large")).move(((0.2, 0.5), (0.8, 0.5)))

    expect(tab.dialog.get_by_role("heading")).to_have_text("Swiped 2")


def test_two_fingers_zoom(phone: Callable[[], Tab]) -> None:
    tab = phone()
    tab.create("Pinched")
    tab.drop(tab.card("Pinched"), File.photograph("rocket"))
    tab.expect_picture("Pinched")
    tab.view_item("Pinched")
    expect(tab.dialog.get_by_role("img", name="Picture of Pinched")).to_be_visible()
    frame = tab.dialog.locator(".frame.large")
    Fingers(tab, frame).move(((0.45, 0.5), (0.2, 0.5)), ((0.55, 0.5), (0.8, 0.5)))

    expect(frame).to_have_class(re.compile("zoomed"))
    expect(tab.dialog.locator(".percent")).to_have_text("600 %")
    assert tab.page.evaluate("visualViewport.scale") == 1
    assert faults(tab) == {}


def test_camera_is_offered_beside_the_files(phone: Callable[[], Tab], tab: Tab, system: System) -> None:
    for_touch = phone()
    with for_touch.page.expect_file_chooser() as camera:
        for_touch.press("Take a photo")
    assert camera.value.element.get_attribute("capture") == "environment"
    with for_touch.page.expect_file_chooser() as files:
        for_touch.press("Add pictures")
    assert files.value.element.get_attribute("capture") is None

    tab.open(system.url)
    expect(tab.page.get_by_role("button", name="Take a photo")).to_have_count(0)
