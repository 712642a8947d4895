import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser.js";
import { SchemaView } from "../../chalicelib/web/schema-view.js";

const schemas = new SchemaView({
  components: {
    schemas: {
      Money: { type: "object", title: "Money", properties: { amount: { type: "number" } }, required: ["amount"] },
      Base: { type: "object", properties: { id: { type: "string" } }, required: ["id"] },
      Item: {
        allOf: [
          { $ref: "#/components/schemas/Base" },
          { properties: { title: { type: "string", description: "Its `title`." } } },
        ],
        additionalProperties: true,
      },
      "a/b": { type: "boolean" },
    },
  },
});
const ref = (name) => ({ $ref: `#/components/schemas/${name}` });

test("types and limits are described in a line", () => {
  for (const [schema, text] of [
    [{ type: "string", maxLength: 100 }, "string, up to 100 characters"],
    [{ type: "string", minLength: 2, maxLength: 9, pattern: "^a" }, "string, 2 to 9 characters, matches ^a"],
    [{ type: "string", minLength: 2 }, "string, at least 2 characters"],
    [{ type: "number", exclusiveMinimum: 0, multipleOf: 5 }, "number, more than 0, a multiple of 5"],
    [{ type: "integer", minimum: 1, maximum: 100, default: 25 }, "integer, from 1 to 100, 25 by default"],
    [{ type: "string", format: "date-time" }, "time (ISO 8601)"],
    [{ type: "string", format: "uuid" }, "string (uuid)"],
    [{ type: ["string", "number"] }, "string number"],
    [{ enum: ["asc", "desc"], default: "desc" }, '"asc" | "desc", "desc" by default'],
    [{ const: "ok" }, '"ok"'],
    [{}, "any value"],
    [{ type: "array", items: { type: "string" } }, "list of string"],
    [{ type: "array", items: ref("Money") }, "list of Money"],
  ]) assert.equal(schemas.describe(schema), text);
});

test("null is described as an addition", () => {
  assert.equal(schemas.describe({ anyOf: [{ type: "string" }, { type: "null" }] }), "string or null");
  assert.equal(schemas.describe({ anyOf: [ref("Money"), { type: "null" }] }), "Money or null");
});

test("alternatives are named", () => {
  assert.equal(schemas.describe({ oneOf: [ref("Money"), { type: "string" }] }), "one of Money, string");
});

test("a default of null is not described", () => {
  assert.equal(schemas.describe({ type: "string", default: null }), "string");
});

test("keywords beside a reference narrow it", () => {
  const narrowed = schemas.resolve({ ...ref("Money"), title: "Price", properties: { currency: { const: "EUR" } } });
  assert.equal(narrowed.title, "Price");
  assert.deepEqual(Object.keys(narrowed.properties), ["amount", "currency"]);
});

test("parts of a schema are merged", () => {
  const item = schemas.resolve(ref("Item"));
  assert.deepEqual(Object.keys(item.properties), ["id", "title"]);
  assert.deepEqual([item.required, item.additionalProperties], [["id"], true]);
});

test("references may have escaped slashes", () => {
  assert.equal(schemas.describe(ref("a~1b")), "boolean");
});

test("properties are listed, required ones are marked", () => {
  const entries = [...schemas.propertyList(ref("Item")).children].map((one) => one.textContent);
  assert.deepEqual(entries, ["id stringrequired", "title stringIts title.", "and fields of your own"]);
});

test("a closed object has no fields of your own", () => {
  const list = schemas.propertyList({ type: "object", properties: { a: {} }, additionalProperties: false });
  assert.equal(list.textContent.includes("your own"), false);
});

test("an open object without properties has any fields", () => {
  assert.equal(schemas.propertyList({ type: "object" }).textContent, "A JSON object with any fields.");
  assert.equal(schemas.propertyList({ type: "object", additionalProperties: false }), null);
  assert.equal(schemas.propertyList({ type: "string" }), null);
});

test("properties of list entries and alternatives are listed", () => {
  const entries = schemas.propertyList({ type: "array", items: ref("Money") });
  assert.equal(entries.querySelector("code").textContent, "amount");
  const note = { title: "Note", type: "object", properties: { text: {} } };
  const alternatives = schemas.propertyList({ oneOf: [ref("Money"), note] });
  assert.deepEqual([...alternatives.children].map((one) => one.firstChild.textContent), ["Money", "Note"]);
});

test("a schema that contains itself is listed to a limit", () => {
  const node = { type: "object", properties: { next: ref("Node") } };
  const own = new SchemaView({ components: { schemas: { Node: node } } });
  assert.equal(own.propertyList(ref("Node")).querySelectorAll("ul").length, 4);
});
