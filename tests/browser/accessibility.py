"""Accessibility checks of a page with axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import axe_playwright_python

if TYPE_CHECKING:
    from playwright.sync_api import Page

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

# During a load or a transition, colours are pale.
_IS_AT_REST = """() => !document.querySelector('#gallery[aria-busy=true] [data-id]')
  && document.getAnimations().every(
    one => one.playState !== 'running' || one.effect.getComputedTiming().endTime === Infinity)"""


def serious_faults(page: Page) -> list[str]:
    """Return the violations that axe-core calls serious or critical, each with its elements."""
    page.wait_for_function(_IS_AT_REST)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {_AXE}\n }}")
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']} {[node['html'] for node in one['nodes']]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
