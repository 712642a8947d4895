import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { parseJson } from "../../chalicelib/web/exact-json.js";
import { columnsOf, rowOf } from "../../chalicelib/web/item-card.js";

const AT = "2026-01-31T12:00:00.000Z";
const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase", ...fields });
const cells = (row) => [...row.children].slice(1).map((cell) => cell.textContent);

describe("item-row", () => {
  test("some columns are shown unless the user has chosen", () => {
    const columns = (chosen) => columnsOf(["a", "b", "c", "d", "e"], chosen);
    const shown = (chosen) => columns(chosen).filter((one) => one.isShown).map((one) => one.id);
    assert.deepEqual(shown(null), [
      "picture", "field:a", "field:b", "field:c", "field:d", "createdAt", "updatedAt", "size",
    ]);
    assert.deepEqual(shown(["size", "field:e", "field:gone"]), ["field:e", "size"]);
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
