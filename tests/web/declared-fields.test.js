import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { parseJson, toJson } from "../../chalicelib/web/exact-json.js";
import { buttonOf, control, open, press, rows, tab, type } from "./editor.js";

const SCHEMAS = {
  ItemFields: {
    type: "object",
    required: ["name", "price", "from"],
    properties: {
      note: { anyOf: [{ type: "string", maxLength: 2000 }, { type: "null" }], description: "For `us` alone." },
      name: { type: "string", minLength: 2, maxLength: 9 },
      price: { type: ["number", "string"], format: "decimal" },
      state: { anyOf: [{ enum: ["new", "used"] }, { type: "null" }], default: "new" },
      from: { type: "string", format: "date" },
      seen: { type: "string", format: "date-time" },
      framed: { anyOf: [{ type: "boolean" }, { type: "null" }] },
      sold: { type: "boolean", default: false },
      count: { type: "integer", minimum: 0, maximum: 10 },
      site: { type: "string", format: "uri" },
      tags: { type: "array", items: { type: "string", maxLength: 5 }, maxItems: 2 },
      size: { anyOf: [{ $ref: "#/components/schemas/ItemFields.Size" }, { type: "null" }] },
      any: {},
      expiresAt: { type: ["string", "null"], format: "date-time" },
    },
    additionalProperties: { $ref: "#/components/schemas/Value" },
  },
  "ItemFields.Size": {
    type: "object", required: ["height"],
    properties: { width: { type: "integer" }, height: { type: "integer", exclusiveMinimum: 0 } },
  },
};

const declared = (fields = {}, schemas = SCHEMAS) => open(fields, () => {}, schemas);
const labelled = (editor, label) => editor.element.querySelector(`[aria-label="${label}"]`);
const errors = (editor) =>
  [...editor.element.querySelectorAll(".field-error")].map((one) => one.textContent).filter(Boolean);
const closed = { ItemFields: { ...SCHEMAS.ItemFields, additionalProperties: false } };
const VASE = { name: "Vase", price: 5, from: "2026-01-02" };

describe("declared fields", () => {
  test("the help of the visibility says what visitors see", () => {
    const visibility = { enum: ["private", "public", null], description: "Visitors see public items." };
    const helpOf = () => declared({}, { ItemFields: { properties: { visibility } } }).element.querySelector(".note");
    assert.equal(helpOf().textContent, "Visitors see public items. Visitors see the picture.");
    assert.equal(helpOf().textContent, "Visitors see public items. Visitors see the picture.");
  });

  test("come first, the required ones at the top", () => {
    const editor = declared({ colour: "blue", expiresAt: "2030-01-01T00:00:00Z" });
    const names = rows(editor).filter((row) => row.parentElement.closest(".field") === null)
      .map((row) => row.querySelector("input.name")?.value ?? row.querySelector(".name").firstChild.textContent);
    assert.deepEqual(names, [
      "Name", "Price", "From", "Note", "State", "Seen", "Framed", "Sold", "Count", "Site", "Tags", "Size", "Any",
      "colour", "Expires",
    ]);
  });

  test("have inputs that fit their types", () => {
    const editor = declared();
    const kinds = ["Name", "Price", "From", "Note", "State", "Seen", "Framed", "Sold", "Count", "Site"]
      .map((label) => labelled(editor, label)).map((one) => one.getAttribute("role") ?? one.type);
    assert.deepEqual(kinds, [
      "text", "text", "date", "textarea", "select-one", "datetime-local", "select-one", "switch", "text", "url",
    ]);
  });

  test("show descriptions and limits", () => {
    const editor = declared();
    const help = (label) => editor.element.querySelector(`#${labelled(editor, label).id}-help`)?.textContent;
    assert.equal(help("Name"), "2 to 9 characters.");
    assert.equal(help("Note"), "For us alone. Up to 2000 characters.");
    assert.equal(help("Count"), "From 0 to 10.");
    assert.equal(help("From"), undefined);
  });

  test("are read by type, and left out if empty", () => {
    const editor = declared();
    type(labelled(editor, "Name"), "Vase");
    type(labelled(editor, "Price"), "19.90000000000000000001");
    type(labelled(editor, "From"), "2026-01-02");
    type(labelled(editor, "Count"), "3");
    type(labelled(editor, "Framed"), "false");
    assert.equal(toJson(editor.read()), toJson({
      name: "Vase", price: parseJson("19.90000000000000000001"), from: "2026-01-02", state: "new", framed: false,
      sold: false, count: 3,
    }));
  });

  test("of a single choice are chosen", () => {
    const tagged = { ItemFields: { properties: { kind: { enum: ["vase"] } }, required: ["kind"] } };
    assert.deepEqual(declared({}, tagged).read(), { kind: "vase" });
  });

  test("that were cleared are left out", () => {
    const editor = declared({ ...VASE, note: "old", any: null });
    type(labelled(editor, "Note"), "");
    assert.deepEqual(editor.read(), { ...VASE, state: "new", sold: false, any: null });
  });

  test("are rejected at each field", () => {
    const editor = declared();
    type(labelled(editor, "Name"), "V");
    type(labelled(editor, "Price"), "five");
    type(labelled(editor, "Count"), "11");
    assert.throws(() => editor.read(), SyntaxError);
    assert.deepEqual(errors(editor), [
      "Enter at least 2 characters.", "Enter a number, such as 12.5.", "From is required.", "Enter 10 or less.",
    ]);
    type(labelled(editor, "Name"), "Vase");
    assert.equal(errors(editor).length, 3);
  });

  test("show errors of the API", () => {
    const editor = declared({ ...VASE, tags: ["a"], size: { height: 1 }, "b.c": "x" });
    editor.read();
    const left = editor.showErrors([
      { path: "$.price", message: "price is too low" },
      { path: "$.tags[0]", message: "tags[0] is bad" },
      { path: "$.size.height", message: "size.height is bad" },
      { path: "$.b.c", message: "b.c is bad" },
      { path: "$", message: "Together they are bad" },
    ]);
    assert.deepEqual(left.map(({ path }) => path), ["$"]);
    assert.deepEqual(errors(editor), ["price is too low", "tags[0] is bad", "size.height is bad", "b.c is bad"]);
    assert.equal(labelled(editor, "Height").getAttribute("aria-invalid"), "true");
    assert.equal(labelled(editor, "Tags 1").getAttribute("aria-invalid"), "true");
  });

  test("keep a value of another type until it is changed", () => {
    const odd = { ...VASE, price: "cheap", tags: "none", state: "lost" };
    const editor = declared(odd);
    assert.deepEqual(editor.read(), { ...odd, sold: false });
    type(labelled(editor, "Price"), "still cheap");
    assert.equal(editor.read().price, "still cheap");
  });

  test("allow others, unless the class forbids them", () => {
    assert.ok(buttonOf(declared(), "Add a field"));
    assert.equal(buttonOf(declared({}, closed), "Add a field"), undefined);
    assert.ok(buttonOf(declared({}, closed), "Set an expiry"));
  });

  test("may be missing in the form with JSON", () => {
    const editor = declared();
    tab(editor, "JSON").click();
    assert.deepEqual(JSON.parse(editor.element.querySelector("textarea.raw").value), { state: "new", sold: false });
  });
});

describe("lists and objects", () => {
  test("a list has an input for each value", () => {
    const editor = declared({ ...VASE, tags: ["old"] });
    labelled(editor, "Add to Tags").click();
    type(labelled(editor, "Tags 2"), "blue");
    assert.deepEqual(editor.read().tags, ["old", "blue"]);
    labelled(editor, "Remove Tags 1").click();
    assert.deepEqual(editor.read().tags, ["blue"]);
    assert.equal(labelled(editor, "Tags 1").value, "blue");
  });

  test("limits hold for a list and its values", () => {
    const editor = declared({ ...VASE, tags: ["a", "b", "c"] });
    assert.throws(() => editor.read(), /at most 2/);
    labelled(editor, "Remove Tags 3").click();
    type(labelled(editor, "Tags 2"), "too long");
    assert.throws(() => editor.read(), /at most 5 characters/);
  });

  test("empty values of a list are left out", () => {
    const editor = declared({ ...VASE, tags: ["a"] });
    labelled(editor, "Add to Tags").click();
    labelled(editor, "Add to Tags").click();
    type(labelled(editor, "Tags 3"), "c");
    assert.deepEqual(editor.read().tags, ["a", "c"]);
    editor.showErrors([{ path: "$.tags[1]", message: "bad" }]);
    assert.equal(labelled(editor, "Tags 3").getAttribute("aria-invalid"), "true");
    type(labelled(editor, "Tags 3"), "d");
    assert.equal(labelled(editor, "Tags 3").getAttribute("aria-invalid"), null);
    assert.deepEqual(errors(editor), []);
  });

  test("an emptied list is left out, an empty one is kept", () => {
    const editor = declared({ ...VASE, tags: ["old"] });
    labelled(editor, "Remove Tags 1").click();
    assert.equal("tags" in editor.read(), false);
    assert.deepEqual(declared({ ...VASE, tags: [] }).read().tags, []);
    assert.equal(declared({ ...VASE, tags: null }).read().tags, null);
    assert.equal("tags" in declared(VASE).read(), false);
  });

  test("an optional object is added and removed", () => {
    const editor = declared(VASE);
    assert.equal("size" in editor.read(), false);
    buttonOf(editor, "Add Size").click();
    assert.throws(() => editor.read(), SyntaxError);
    assert.deepEqual(errors(editor), ["Height is required."]);
    type(labelled(editor, "Height"), "3");
    assert.deepEqual(editor.read().size, { height: 3 });
    document.body.append(editor.element);
    buttonOf(editor, "Remove Size").click();
    assert.equal("size" in editor.read(), false);
    editor.element.remove();
  });

  test("an object of any names takes values of one type", () => {
    const schemas = {
      ItemFields: {
        type: "object", required: ["marks"],
        properties: { marks: { type: "object", additionalProperties: { type: "integer" } } },
      },
    };
    const editor = declared({ marks: { a: 1 } }, schemas);
    const row = rows(editor)[0];
    [...row.querySelectorAll("button")].find((one) => one.textContent === "Add a field").click();
    const added = rows(editor)[2];
    type(added.querySelector(".name"), "b");
    type(control(editor, "b"), "2");
    assert.deepEqual(editor.read(), { marks: { a: 1, b: 2 } });
    assert.equal(added.querySelector("select"), null);
  });
});

describe("what was typed", () => {
  /** Return an editor that shows what another one showed. */
  function reopened(editor, fields, schemas) {
    const other = open(fields, () => assert.fail("Restoring is no change."), schemas);
    other.restore(JSON.parse(JSON.stringify(editor.content)));
    return other;
  }

  test("is restored in declared fields, valid or not", () => {
    const editor = declared({ ...VASE, size: { height: 1 } });
    type(labelled(editor, "Price"), "12 or so");
    labelled(editor, "Add to Tags").click();
    type(labelled(editor, "Tags 1"), "much too long");
    type(labelled(editor, "Height"), "7");
    const other = reopened(editor, VASE, SCHEMAS);
    assert.deepEqual(
      ["Price", "Tags 1", "Height"].map((label) => labelled(other, label).value), ["12 or so", "much too long", "7"],
    );
    type(labelled(other, "Price"), "12");
    type(labelled(other, "Tags 1"), "good");
    const entered = { price: 12, tags: ["good"], size: { height: 7 } };
    assert.deepEqual(other.read(), { ...VASE, state: "new", sold: false, ...entered });
  });

  test("is restored in added, renamed and removed fields", () => {
    const editor = open({ a: "1", b: "2", exact: parseJson("1.10") });
    document.body.append(editor.element);
    rows(editor)[0].querySelector(".remove").click();
    type(rows(editor)[0].querySelector(".name"), "renamed");
    press(editor, "Add a field");
    type(rows(editor)[2].querySelector(".name"), "new");
    type(control(editor, "new"), "1");
    press(editor, "Set an expiry");
    editor.element.remove();
    const other = reopened(editor, { a: "1", b: "2", exact: parseJson("1.10") });
    assert.equal(toJson(other.read()), toJson(editor.read()));
  });

  test("is restored beside a field of the same name", () => {
    const editor = open({ a: "1" });
    press(editor, "Add a field");
    type(rows(editor)[1].querySelector(".name"), "a");
    type(editor.element.querySelectorAll("[aria-label='Value of a']")[1], "2");
    const values = [...reopened(editor, { a: "1" }).element.querySelectorAll("[aria-label='Value of a']")];
    assert.deepEqual(values.map(({ value }) => value), ["1", "2"]);
  });

  test("is restored as another field if the type has changed", () => {
    const editor = declared(VASE);
    labelled(editor, "Add to Tags").click();
    type(labelled(editor, "Tags 1"), "old");
    const { properties, ...rest } = SCHEMAS.ItemFields;
    const now = { ...SCHEMAS, ItemFields: { ...rest, properties: { ...properties, tags: { type: "string" } } } };
    const other = reopened(editor, VASE, now);
    assert.match(control(other, "tags").value, /old/);
    assert.equal(labelled(other, "Tags").value, "");
  });

  test("of another form is not restored", () => {
    const editor = declared(VASE);
    editor.restore({ tab: 0, form: { name: "V" } });
    assert.deepEqual(editor.read(), { ...VASE, state: "new", sold: false });
  });

  test("is restored in the form with JSON", () => {
    const editor = open({ a: "1" });
    tab(editor, "JSON").click();
    type(editor.element.querySelector("textarea.raw"), "{ half");
    const other = reopened(editor, { a: "1" });
    assert.equal(other.element.querySelector("textarea.raw").value, "{ half");
  });
});
