"""How pages look to those who cannot see them (axe-core), and pictures of them for the documentation."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import axe_playwright_python
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


# Half way through a load or a transition, what is about to go or to come is pale.
_AT_REST = """() => !document.querySelector('#gallery[aria-busy=true] [data-id]')
  && document.getAnimations().every(
    one => one.playState !== 'running' || one.effect.getComputedTiming().endTime === Infinity)"""


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds that shuts somebody out in a page at rest, each with the places where it is."""
    page.wait_for_function(_AT_REST)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {_AXE}\n }}")
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']} {[node['html'] for node in one['nodes']]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


class Shots:
    """Pictures of pages, which are written only when somebody asks for that: `make screenshots`."""

    def take(self, page: Page, name: str) -> None:
        if os.environ.get("SCREENSHOTS") != "1":
            return
        FOLDER.mkdir(parents=True, exist_ok=True)
        page.evaluate(
            "() => Promise.all([...document.images].filter(one => one.checkVisibility()).map(one => one.decode()))"
        )
        with Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))) as picture:
            picture.convert("RGB").save(FOLDER / f"{name}.webp", quality=84, method=6)
