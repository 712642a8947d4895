import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { converted } from "../../chalicelib/web/composite-controls.js";
import { parseJson } from "../../chalicelib/web/exact-json.js";
import { Input, kindOf, violation } from "../../chalicelib/web/scalar-inputs.js";

describe("inputs", () => {
  test("follow from a schema", () => {
    for (const [schema, kind] of [
      [{ type: "string" }, "text"], [{ type: "string", maxLength: 200 }, "text"],
      [{ type: "string", maxLength: 201 }, "long"], [{ type: "string", format: "date" }, "date"],
      [{ type: "string", "x-searchable": true }, "long"],
      [{ type: "string", "x-searchable": true, maxLength: 200 }, "text"],
      [{ type: "string", "x-searchable": true, "x-findable": true }, "text"],
      [{ type: "string", "x-searchable": true, format: "email" }, "text"],
      [{ type: ["string", "null"], format: "date-time" }, "time"], [{ type: "string", format: "email" }, "text"],
      [{ type: "integer" }, "number"], [{ type: "number" }, "number"], [{ type: "boolean" }, "boolean"],
      [{ type: ["number", "string"], format: "decimal" }, "number"], [{ type: "string", format: "decimal" }, "number"],
      [{ enum: [1, 2] }, "choice"], [{ type: "array", items: {} }, "list"],
      [{ type: "array", prefixItems: [{}], items: false }, "json"], [{ type: "object" }, "object"],
      [{}, "any"], [{ type: ["integer", "string"] }, "any"],
      [{ anyOf: [{ type: "string" }, { type: "integer" }] }, "any"],
    ]) assert.equal(kindOf(schema), kind, JSON.stringify(schema));
  });

  test("a decimal that must be text stays text", () => {
    const input = new Input("number", undefined, { type: "string", format: "decimal" });
    input.content = " 12.50 ";
    assert.equal(input.read(), "12.50");
  });

  test("limits are checked", () => {
    for (const [value, schema, message] of [
      [1.5, { type: "integer" }, "Enter a whole number."], [parseJson("1.0"), { type: "integer" }, ""],
      [0, { exclusiveMinimum: 0 }, "Enter more than 0."], [3, { exclusiveMaximum: 3 }, "Enter less than 3."],
      [1, { minimum: 2 }, "Enter 2 or more."], [0.3, { multipleOf: 0.1 }, ""],
      [0.35, { multipleOf: 0.1 }, "Enter a multiple of 0.1."],
      ["😀😀", { maxLength: 2 }, ""], ["abc", { maxLength: 2 }, "Enter at most 2 characters; these are 3."],
      ["a1", { pattern: "^[a-z]$" }, "Enter text that matches ^[a-z]$."], ["a", { pattern: "(?P<no>a)" }, ""],
      [[1], { minItems: 2 }, "Enter at least 2."], [[1, 1], { uniqueItems: true }, "Enter each value once."],
      [true, {}, ""],
    ]) assert.equal(violation(value, schema), message, JSON.stringify([value, schema]));
  });

  test("a line break turns one line into several", () => {
    const input = new Input("text", "one");
    document.body.append(input.element);
    input.setLabel("Note", "note-1");
    input.element.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", shiftKey: true, cancelable: true }));
    assert.equal(input.element.tagName, "TEXTAREA");
    assert.deepEqual([input.element.id, input.element.getAttribute("aria-label")], ["note-1", "Note"]);
    assert.match(input.read(), /\n/);
    input.element.remove();
  });

  test("values are converted between types", () => {
    for (const [value, kind, result] of [
      ["5", "number", 5], ["five", "number", undefined], ["five", "json", "five"], ["", "json", undefined],
      [[5], "text", "[5]"], [undefined, "text", undefined], ["true", "boolean", true], ["a, b", "list", ["a", "b"]],
      [["a", "b"], "text", "a, b"], ["2026-01-02T10:00:00Z", "date", "2026-01-02"], ["soon", "time", undefined],
      [true, "text", "true"],
    ]) assert.deepEqual(converted(value, kind), result, JSON.stringify([value, kind]));
  });
});
