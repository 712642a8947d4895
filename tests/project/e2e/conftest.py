"""The packaged app in an emulator, and a browser, as for the other tests of the whole system."""

from __future__ import annotations

from tests.browser.conftest import browser, context, new_tab, tab
from tests.e2e.conftest import system

__all__ = ["browser", "context", "new_tab", "system", "tab"]
