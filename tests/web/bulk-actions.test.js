import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { guessType, valueOf } from "../../chalicelib/web/bulk-actions.js";
import { toJson } from "../../chalicelib/web/exact-json.js";

describe("bulk-actions", () => {
  test("the type of a value is guessed", () => {
    const types = ["12.50", "-3", "yes", "False", '["a", 1]', "007", "oak", "", "{}"].map(guessType);
    assert.deepEqual(types, ["number", "number", "boolean", "boolean", "list", "text", "text", "text", "text"]);
  });

  test("a value keeps what was typed", () => {
    assert.equal(toJson(valueOf("12.50", "number")), "12.50");
    assert.deepEqual(["Yes", "no"].map((text) => valueOf(text, "boolean")), [true, false]);
    assert.equal(valueOf("12.50", "text"), "12.50");
    assert.equal(valueOf("anything", "none"), null);
  });

  test("what is not of the type is no value", () => {
    for (const type of ["number", "boolean", "list"]) assert.equal(valueOf("oak", type), undefined);
  });
});
