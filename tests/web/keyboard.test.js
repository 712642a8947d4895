import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { indexAfter } from "../../chalicelib/web/keyboard.js";

/** Seven cards in lines of three. */
const GRID = Array.from({ length: 7 }, (_, index) => ({ left: (index % 3) * 100, top: Math.floor(index / 3) * 80 }));

describe("keyboard", () => {
  test("arrows move in a grid", () => {
    assert.equal(indexAfter("ArrowRight", 0, GRID), 1);
    assert.equal(indexAfter("ArrowLeft", 3, GRID), 2);
    assert.equal(indexAfter("ArrowDown", 1, GRID), 4);
    assert.equal(indexAfter("ArrowUp", 5, GRID), 2);
  });

  test("arrows stop at the edges", () => {
    assert.equal(indexAfter("ArrowLeft", 0, GRID), 0);
    assert.equal(indexAfter("ArrowUp", 2, GRID), 2);
    assert.equal(indexAfter("ArrowDown", 6, GRID), 6);
  });

  test("a short last line has the nearest card", () => {
    assert.equal(indexAfter("ArrowDown", 5, GRID), 6);
  });

  test("Home and End lead to the first and the last", () => {
    assert.deepEqual([indexAfter("Home", 4, GRID), indexAfter("End", 4, GRID)], [0, 6]);
  });
});
