"""The console of an app that declares fields in its class ItemFields."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import System, create_item
from tests.browser.tab import Tab


def test_card_shows_the_first_declared_text(system: System, shop: str, tab: Tab) -> None:
    create_item(system, name="Blue vase", title="Not its name", price=5, onSaleFrom="2026-01-02")
    tab.open(shop)

    expect(tab.card("Blue vase")).to_be_visible()
