import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { parseJson } from "../../chalicelib/web/exact-json.js";
import { declaredNameField, nameOf } from "../../chalicelib/web/field-metadata.js";

const declaring = (properties) => ({ ItemFields: { properties } });
const item = (fields) => ({ id: "item-1", version: 1, createdAt: "", updatedAt: "", ...fields });

describe("the name of an item", () => {
  test("is the first declared text", () => {
    const schemas = declaring({
      price: { type: ["number", "string"], format: "decimal" },
      bought: { type: "string", format: "date" },
      state: { anyOf: [{ enum: ["new", "used"] }, { type: "null" }] },
      kind: { type: "string", enum: ["vase", "bowl"] },
      sku: { anyOf: [{ type: "string", minLength: 3 }, { type: "null" }] },
      title: { type: "string" },
    });
    assert.equal(declaredNameField(schemas), "sku");
    assert.equal(nameOf(item({ title: "Vase", sku: "V-1", kind: "vase" }), schemas), "V-1");
  });

  test("is a usual name if the declared text is missing", () => {
    const schemas = declaring({ sku: { type: "string" } });
    assert.equal(nameOf(item({ sku: " ", title: "Vase" }), schemas), "Vase");
    assert.equal(nameOf(item({ name: "Name", title: "Title" }), {}), "Title");
    assert.equal(nameOf(item({ title: 5, label: "Label" }), {}), "Label");
  });

  test("is the id if no field is text", () => {
    assert.equal(nameOf(item({ title: parseJson("5.0") }), {}), "item-1");
    assert.equal(declaredNameField({}), undefined);
  });
});
