import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import "./browser.js";
import { parseJson } from "../../chalicelib/web/exact-json.js";
import {
  MANAGED, fieldLabel, fieldNames, fieldsForVisitors, isSearchable, isTimestamp, listedFields, ownFields,
  sortableFields, summaryOf,
} from "../../chalicelib/web/field-metadata.js";

describe("field-metadata", () => {
  const AT = "2026-01-31T12:00:00.000Z";
  const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, ...fields });

  test("timestamps have a date, a time and a zone", () => {
    for (const text of ["2026-01-31T12:00Z", AT, "2026-01-31T12:00:00+02:00"]) {
      assert.equal(isTimestamp(text), true, text);
    }
    for (const text of ["2026-01-31", "2026-01-31T12:00", "2026-13-31T12:00Z", "today", 5, null]) {
      assert.equal(isTimestamp(text), false, String(text));
    }
  });

  test("managed fields are those of the API", () => {
    const file = new URL("../../chalicelib/openapi.json", import.meta.url);
    const { schemas } = JSON.parse(readFileSync(file, "utf8")).components;
    assert.deepEqual(MANAGED, schemas.ItemFields.propertyNames.not.enum);
  });

  test("managed fields are not the caller's", () => {
    const own = { title: "Vase", expiresAt: AT };
    assert.deepEqual(ownFields(item({ image: { status: "ready" }, ...own })), own);
  });

  test("the name and the settings are not listed", () => {
    const vase = item({ title: "Vase", name: "Blue", expiresAt: AT, visibility: "public" });
    assert.deepEqual(listedFields(vase), [["name", "Blue"]]);
  });

  test("field names become words", () => {
    for (const name of ["pixelsPerInch", "pixels_per_inch", "pixels-per-inch"]) {
      assert.equal(fieldLabel(name), "Pixels per inch");
    }
    assert.equal(fieldLabel("imageURL"), "Image URL");
    assert.equal(fieldLabel("__"), "__");
  });

  test("the summary names what alone says nothing", () => {
    const fields = { framed: true, sold: false, height: parseJson("12.50"), tags: ["blue", "old"], more: "x" };
    assert.equal(summaryOf(item({ title: "Vase", ...fields })), "Framed · Height 12.50 · blue, old");
  });

  test("the summary has no times and no objects", () => {
    assert.equal(summaryOf(item({ title: "Vase", seen: AT, lens: { mm: 50 }, place: "Pier 9" })), "Pier 9");
    assert.equal(summaryOf(item({ title: "Vase" })), "");
  });

  test("marks of the fields say what visitors see", () => {
    const properties = {
      title: { type: "string", "x-public": true },
      dateOfMaking: { anyOf: [{ type: "string", "x-public": true }, { type: "null" }] },
      boughtFor: { type: "number" },
    };
    const sentence = "Visitors see the picture, Title, and Date of making.";
    assert.equal(fieldsForVisitors({ ItemFields: { properties } }), sentence);
    assert.match(fieldsForVisitors({ ItemFields: { "x-others-public": true } }), /picture and all .* not declared\.$/);
    assert.equal(fieldsForVisitors({}), "Visitors see the picture.");
  });

  test("marks of the fields decide what can be searched and sorted", () => {
    const schemas = { ItemFields: { properties: {
      title: { type: "string", "x-searchable": true, "x-findable": true },
      price: { anyOf: [{ type: "number", "x-findable": true }, { type: "null" }] },
      tags: { type: "array", "x-findable": true },
      plain: { type: "string" },
    } } };
    assert.equal(isSearchable(schemas), true);
    assert.deepEqual(sortableFields(schemas).map(([name]) => name), ["title", "price"]);
    assert.equal(isSearchable({ ItemFields: { properties: { plain: { type: "string" } } } }), false);
    assert.equal(isSearchable({}), false);
  });

  test("declared fields come first, then the most frequent ones", () => {
    const schemas = { ItemFields: { properties: { sku: { type: "string" }, price: { type: "number" } } } };
    const items = [item({ age: 1 }), item({ wood: "oak", age: 2, price: 3 })];
    assert.deepEqual(fieldNames(items, schemas), ["price", "age", "wood"]);
  });
});
