import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser.js";
import { Comparison } from "../../chalicelib/web/item-comparison.js";
import { parseJson, toJson } from "../../chalicelib/web/exact-json.js";

/** Choose a side of a field, as the user does. */
function choose(comparison, name, side) {
  const radio = (value) => comparison.element.querySelector(`[aria-label="${name}: keep ${value}"]`);
  radio(side === "yours" ? "theirs" : "yours").checked = false;
  radio(side).checked = true;
}

test("by default each side keeps what only it has changed", () => {
  const comparison = new Comparison({ a: 1, b: 1, c: 1 }, { a: 2, b: 1, c: 1 }, { a: 1, b: 2, c: 1 });
  assert.deepEqual(comparison.read(), { a: 2, b: 2, c: 1 });
});

test("by default yours is kept if both have changed a field", () => {
  assert.deepEqual(new Comparison({ a: 1 }, { a: 2 }, { a: 3 }).read(), { a: 3 });
});

test("the user chooses a side", () => {
  const comparison = new Comparison({ a: 1 }, { a: 2 }, { a: 3 });
  choose(comparison, "a", "theirs");
  assert.deepEqual(comparison.read(), { a: 2 });
});

test("a field that one side has removed can be removed or kept", () => {
  const comparison = new Comparison({ a: 1, b: 1 }, { a: 1, b: 1 }, { a: 1 });
  assert.deepEqual(comparison.read(), { a: 1 });
  choose(comparison, "b", "theirs");
  assert.deepEqual(comparison.read(), { a: 1, b: 1 });
});

test("names of inherited properties are ordinary fields", () => {
  const comparison = new Comparison({}, {}, { constructor: "Ann" });
  assert.equal(comparison.hasDifferences, true);
  assert.deepEqual(comparison.read(), { constructor: "Ann" });
});

test("the same change on both sides is no difference", () => {
  assert.equal(new Comparison({ a: 1 }, { a: { x: 1, y: 2 } }, { a: { y: 2, x: 1 } }).hasDifferences, false);
});

test("numbers are shown and kept with every digit", () => {
  const comparison = new Comparison({}, { a: parseJson("1.10") }, { a: parseJson("1.100") });
  assert.deepEqual([...comparison.element.querySelectorAll("td")].map((one) => one.textContent), ["1.10", "1.100"]);
  assert.equal(toJson(comparison.read()), '{"a":1.100}');
});

test("a missing value is not confused with null", () => {
  const comparison = new Comparison({}, { a: null }, {});
  assert.deepEqual([...comparison.element.querySelectorAll("td")].map((one) => one.textContent), ["null", "not set"]);
});
