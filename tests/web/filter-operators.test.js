import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { filterFields, filterText, parameterOf, valueOf } from "../../chalicelib/web/filter-operators.js";
import { noMatchText } from "../../chalicelib/web/list-loading.js";
import { DEFAULTS, filtersOf } from "../../chalicelib/web/page-url.js";

const FOUND = { "x-findable": true };
const schemas = {
  ItemFields: {
    type: "object",
    properties: {
      title: { type: "string", ...FOUND },
      note: { type: "string" },
      price: { anyOf: [{ type: "number", ...FOUND }, { type: "null" }] },
      madeOn: { type: "string", format: "date", ...FOUND },
      isSold: { type: "boolean", ...FOUND },
      state: { $ref: "#/components/schemas/State", ...FOUND },
      size: { enum: ["1,5", "2"], ...FOUND },
      tags: { type: "array", items: { type: "string" }, ...FOUND },
      code: { type: ["string", "number"], ...FOUND },
    },
  },
  State: { enum: ["new", "used", null] },
};
const fields = filterFields(schemas);
const field = (name) => fields.find((one) => one.name === name);
const inWords = (parameters) => filterText(filtersOf(parameters)[0], fields);

describe("filter-operators", () => {
  test("findable fields and the time of the last change are offered", () => {
    assert.deepEqual(fields.map(({ label, kind }) => [label, kind]), [
      ["Title", "text"], ["Price", "number"], ["Made on", "date"], ["Is sold", "boolean"], ["State", "choice"],
      ["Size", "choice"], ["Tags", "text"], ["Code", "text"], ["Changed", "time"],
    ]);
  });

  test("the operators follow from the type", () => {
    const operators = fields.map(({ name, operators: all }) => `${name}: ${Object.keys(all).join(" ")}`);
    assert.deepEqual(operators, [
      "title: eq prefix in", "price: eq gte lte gt lt", "madeOn: eq gte lte gt lt", "isSold: eq", "state: eq in",
      "size: eq", "tags: has", "code: eq prefix in gte lte", "updatedAt: gte lte gt lt",
    ]);
  });

  test("a filter is shown in words", () => {
    assert.equal(inWords("filter[price][gte]=12.50"), "Price is at least 12.50");
    assert.equal(inWords("filter[title]=Oak"), "Title is “Oak”");
    assert.equal(inWords("filter[title][in]=oak,%20ash"), "Title is one of “oak” or “ash”");
    assert.equal(inWords("filter[tags][has]=oak"), "Tags include “oak”");
    assert.equal(inWords("filter[isSold]=false"), "Is sold is no");
    assert.equal(inWords("filter[state]=used"), "State is used");
    assert.match(inWords("filter[madeOn][lt]=2026-01-31"), /^Made on is before .*31.*2026/);
    assert.equal(inWords("filter[madeOn][lt]=soon"), "Made on is before soon");
    assert.equal(inWords("filter[gone][gt]=5"), "Gone is above “5”");
  });

  test("a text of the URL becomes a value of the field", () => {
    assert.equal(valueOf("true", field("isSold")), true);
    assert.equal(valueOf("used", field("state")), "used");
    assert.equal(valueOf("5", field("price")), 5);
    assert.equal(valueOf("x", field("price")), undefined);
  });

  test("what was entered becomes a parameter", () => {
    assert.equal(parameterOf("oak, ash,", "in"), "oak,ash");
    assert.equal(parameterOf("oak, ash", "eq"), "oak, ash");
    assert.deepEqual([false, 0, undefined].map((value) => parameterOf(value, "eq")), ["false", "0", ""]);
  });

  test("what excluded all items is named", () => {
    const text = (settings) => noMatchText({ ...DEFAULTS, ...settings });
    assert.equal(text({ added: "7" }), "No item was added in this time.");
    assert.equal(text({ q: "oak", filters: "filter[a]=1" }), "No item matches “oak” and the filter.");
    const all = text({ added: "7", filters: "filter[a]=1&filter[b]=2" });
    assert.equal(all, "No item added in this time matches the filters.");
  });
});
