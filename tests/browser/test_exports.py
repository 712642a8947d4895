"""Exports: what is exported, and the files to download."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.accessibility import serious_faults
from tests.browser.conftest import System, create_item, delete_all_items
from tests.browser.tab import Tab


def downloaded(tab: Tab, name: str) -> str:
    """Click the link to a file of the export, and return the file's text."""
    with tab.page.expect_download() as download:
        tab.panel.get_by_role("link", name=name).click()
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_text(encoding="utf-8-sig")


def test_items_that_match_are_exported_and_kept_over_a_reload(system: System, tab: Tab) -> None:
    delete_all_items(system)
    for title in ("Oak table", "Oak bench", "Ash stool"):
        create_item(system, title=title, price=12.5)
    tab.page.goto(f"{system.url}/#q=oak")
    expect(tab.page.locator("#lists a[tabindex='0']")).to_have_count(1, timeout=60_000)
    tab.press("Export")
    expect(tab.dialog.get_by_label("Items").locator("option:checked")).to_have_text("Items that match the search")
    assert serious_faults(tab.page) == []
    tab.dialog.get_by_role("button", name="Export").click()
    expect(tab.panel).to_contain_text("2 items exported", timeout=60_000)
    assert serious_faults(tab.page) == []
    rows = list(csv.DictReader(downloaded(tab, "items.csv").splitlines()))
    assert sorted(row["title"] for row in rows) == ["Oak bench", "Oak table"]
    tab.page.reload()
    expect(tab.panel).to_contain_text("2 items exported", timeout=60_000)
    tab.press("Dismiss Export as CSV")
    tab.page.get_by_role("checkbox", name="Select Oak bench").check(force=True)
    tab.press("Export…")
    tab.dialog.get_by_label("Format").select_option("NDJSON, to import it again")
    tab.dialog.get_by_role("button", name="Export").click()
    expect(tab.panel).to_contain_text("1 item exported", timeout=60_000)

    [item] = map(json.loads, downloaded(tab, "items.ndjson").splitlines())
    assert (item["title"], item["price"]) == ("Oak bench", 12.5)
