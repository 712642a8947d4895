import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { parseJson } from "../../chalicelib/web/exact-json.js";
import { columnsOf, rowOf } from "../../chalicelib/web/item-card-and-row.js";

const AT = "2026-01-31T12:00:00.000Z";
const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase", ...fields });
const cells = (row) => [...row.children].slice(1).map((cell) => cell.textContent);

describe("item-row", () => {
  test("some columns are shown unless the user has chosen", () => {
    const items = [item({ a: 1, c: 1, d: 1 }), item({ c: 2, e: 1, f: 1 })];
    const columns = (chosen) => columnsOf(["a", "b", "c", "d", "e", "f"], chosen, items);
    const shown = (chosen) => columns(chosen).filter((one) => one.isShown).map((one) => one.id);
    assert.deepEqual(shown(null), [
      "picture", "field:a", "field:c", "field:d", "field:e", "createdAt", "updatedAt", "size",
    ]);
    assert.deepEqual(shown(["size", "field:b", "field:gone"]), ["field:b", "size"]);
  });

  test("a row shows values in words", () => {
    const fields = { price: parseJson("12.50"), sold: false, tags: ["a", "b"], size: { mm: 5 }, note: null };
    const columns = Object.keys(fields).map((name) => ({ id: `field:${name}` }));
    assert.deepEqual(cells(rowOf(item(fields), columns)), ["Vase", "12.50", "No", "a, b", '{"mm":5}', ""]);
  });

  test("a field may be called as a common column", () => {
    assert.deepEqual(cells(rowOf(item({ size: "XL" }), [{ id: "field:size" }, { id: "size" }])), ["Vase", "XL", ""]);
  });
});
