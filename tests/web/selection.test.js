import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { applySettings, hideCards, showCard } from "../../chalicelib/web/gallery.js";
import { deleteItems, finishDeletes } from "../../chalicelib/web/item-writes.js";
import { clearGallery, loadPage } from "../../chalicelib/web/list-loading.js";
import { DEFAULTS } from "../../chalicelib/web/page-url.js";
import {
  clearSelection, rangeOf, select, selectAll, selectChecked, selectedIds,
} from "../../chalicelib/web/selection.js";

const AT = "2026-01-31T12:00:00.000Z";
const item = (id) => ({ id, version: 1, createdAt: AT, updatedAt: AT, title: `Title ${id}` });
const marked = () => [...document.querySelectorAll("#gallery .selected")].map((card) => card.dataset.id);

describe("selection", () => {
  beforeEach(() => {
    clearGallery();
    applySettings({ ...DEFAULTS, order: "asc" });
    for (const id of ["a", "b", "c", "d", "e"]) showCard(item(id));
  });

  afterEach(() => {
    clearSelection();
    applySettings(DEFAULTS);
  });

  test("a range goes in both directions", () => {
    const ids = ["a", "b", "c", "d"];
    assert.deepEqual(rangeOf(ids, "b", "d"), ["b", "c", "d"]);
    assert.deepEqual(rangeOf(ids, "d", "b"), ["b", "c", "d"]);
    assert.deepEqual(rangeOf(ids, "b", "b"), ["b"]);
  });

  test("a range without a start is one item", () => {
    assert.deepEqual(rangeOf(["a", "b"], null, "b"), ["b"]);
    assert.deepEqual(rangeOf(["a", "b"], "gone", "b"), ["b"]);
  });

  test("a range begins at the item before", () => {
    select("b");
    select("d", { isRange: true, isOn: true });
    assert.deepEqual(selectedIds(), ["b", "c", "d"]);
    select("c", { isRange: true, isOn: false });
    assert.deepEqual(selectedIds(), ["b"]);
  });

  test("cards show whether they are selected", () => {
    select("c");
    assert.deepEqual(marked(), ["c"]);
    assert.equal(document.querySelector('[data-id="c"] .select').checked, true);
  });

  test("boxes that were checked too early count", () => {
    document.querySelector('[data-id="c"] .select').checked = true;
    selectChecked();
    assert.deepEqual([selectedIds(), marked()], [["c"], ["c"]]);
  });

  test("items that leave the list are not selected", () => {
    selectAll();
    hideCards(["c"]);
    assert.deepEqual(selectedIds(), ["a", "b", "d", "e"]);
  });

  test("items of pages that are not loaded are selected too", async () => {
    const pageOf = (ids, nextCursor) => json({ items: ids.map(item), nextCursor });
    const pages = { null: pageOf(["a", "b"], "2"), 2: pageOf(["c", "d"], "3"), 3: pageOf(["e"], null) };
    const requests = stubFetch((url) => pages[url.searchParams.get("cursor")].clone());
    const bar = document.querySelector(".selection-bar");
    const press = async (name) => {
      const button = bar.querySelector(".link");
      assert.equal(button.textContent, name);
      button.click();
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    };
    await loadPage({ fromStart: true });
    select("a");
    await press("Select all 2 shown");
    await press("Select all items");
    assert.deepEqual([selectedIds(), marked()], [["a", "b", "c", "d", "e"], ["a", "b"]]);
    assert.deepEqual([bar.querySelector(".link").hidden, requests.length], [true, 3]);
    deleteItems(["d"]);
    assert.deepEqual(selectedIds(), ["a", "b", "c", "e"]);
    await finishDeletes();
    await loadPage({ fromStart: true });
    assert.deepEqual(selectedIds(), ["a", "b"]);
  });

  test("the selection stays in another view", async () => {
    select("c");
    applySettings({ ...DEFAULTS, order: "asc", view: "table" });
    while (document.querySelectorAll("#table tbody tr").length === 0) await new Promise(setImmediate);
    assert.equal(document.querySelector("#table .selected").dataset.id, "c");
    assert.equal(document.querySelector("#table .select-all").indeterminate, true);
  });
});
