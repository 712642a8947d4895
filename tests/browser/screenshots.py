"""Screenshots for the documentation."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"


def take_screenshot(page: Page, name: str) -> None:
    """Write a screenshot to the documentation, if `make screenshots` runs the tests."""
    if os.environ.get("SCREENSHOTS") != "1":
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.evaluate(
        "() => Promise.all([...document.images].filter(one => one.checkVisibility()).map(one => one.decode()))"
    )
    with Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))) as picture:
        picture.convert("RGB").save(FOLDER / f"{name}.webp", quality=84, method=6)
