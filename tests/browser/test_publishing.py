"""Publishing: the public catalogue, public items and share links, as the owner and visitors see them."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items
from tests.browser.tab import Tab


def copied(tab: Tab) -> str:
    """Return the text in the clipboard."""
    text: str = tab.page.evaluate("navigator.clipboard.readText()")
    return text


def test_owner_publishes_and_shares_and_a_visitor_sees_it(
    system: System, tab: Tab, context: BrowserContext, browser: Browser
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    delete_all_items(system)
    create_item(system, title="Blue vase", price=120, note="from Ann")
    create_item(system, title="Green bowl")
    visitor = Tab(browser.new_context().new_page())
    tab.open(system.url)
    tab.press("Display options")
    tab.press("Public catalogue…")
    expect(tab.dialog).to_contain_text("No item is public yet")
    assert serious_faults(tab.page) == []
    tab.dialog.get_by_label("Title").fill("Old glass")
    tab.press("Save")
    expect(tab.dialog).to_be_hidden()

    tab.view_item("Blue vase")
    tab.dialog.get_by_label("Visitors can see it").check()
    tab.press("Copy public link")
    expect(tab.tray).to_contain_text("Link copied")
    assert serious_faults(tab.page) == []
    seen = tab.dialog.get_by_role("link", name="See as visitors see it")
    assert seen.get_attribute("href") == copied(tab)
    visitor.page.goto(copied(tab))
    expect(visitor.page.get_by_role("heading", name="Blue vase")).to_be_visible()
    expect(visitor.page.locator("body")).to_contain_text("Old glass")
    expect(visitor.page.locator("body")).not_to_contain_text("from Ann")
    tab.page.keyboard.press("Escape")
    expect(tab.card("Blue vase")).to_contain_text("Public")

    tab.view_item("Green bowl")
    tab.press("Share link…")
    question = tab.page.get_by_role("dialog", name="Share Green bowl")
    question.get_by_role("button", name="Copy share link").click()
    link = question.get_by_label("Share link, shown only once")
    expect(question).to_contain_text("Copied")
    assert link.input_value() == copied(tab)
    assert serious_faults(tab.page) == []
    visitor.page.goto(copied(tab))
    expect(visitor.page.get_by_role("heading", name="Green bowl")).to_be_visible()
    question.get_by_role("button", name="Revoke").click()
    tab.page.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
    expect(question).to_contain_text("Link revoked")
    visitor.assert_quiet()
    response = visitor.page.goto(copied(tab))

    assert response is not None
    assert response.status == 404
    visitor.page.context.close()
