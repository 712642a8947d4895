import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { Problem } from "../../chalicelib/web/api.js";
import { parseJson, toJson } from "../../chalicelib/web/exact-json.js";
import { FieldsForm } from "../../chalicelib/web/field-editor.js";
import { buttonOf, control, open, press, rows, tab, type } from "./editor.js";

/** Choose another type of a field. */
function chooseType(row, name) {
  const select = row.querySelector("select");
  select.value = name;
  select.dispatchEvent(new Event("change", { bubbles: true }));
}

test("each value has a type", () => {
  const editor = open({
    a: "text", b: parseJson("1.0"), c: true, d: "2026-01-31T12:00:00Z", e: [1], f: null, g: 5, h: "2026-01-02",
    i: ["a"], j: "a\nb",
  });
  const types = rows(editor).map((row) => row.querySelector("select").value);
  assert.deepEqual(types, ["text", "number", "boolean", "time", "json", "json", "number", "date", "list", "long"]);
});

test("fields that were not changed stay as they were", () => {
  const fields = {
    note: "one\r\ntwo\rthree", exact: parseJson("1.10"), seen: "2026-05-01T12:00:00.123+02:00",
    sizes: [1, 2], none: null, on: false,
  };
  assert.deepEqual(open(fields).read(), fields);
});

test("changed values are read", () => {
  const editor = open({ title: "Vase", height: 5 });
  type(control(editor, "title"), "Bowl");
  type(control(editor, "height"), "19.90");
  assert.equal(toJson(editor.read()), '{"title":"Bowl","height":19.90}');
});

test("a text that looks like a number stays text", () => {
  const editor = open({ title: "5" });
  type(control(editor, "title"), "6");
  assert.deepEqual(editor.read(), { title: "6" });
});

test("what is no number is rejected at its control", () => {
  const editor = open({ height: 5 });
  type(control(editor, "height"), "ten");
  assert.throws(() => editor.read(), SyntaxError);
  assert.match(control(editor, "height").validationMessage, /Enter a number/);
  type(control(editor, "height"), "10");
  assert.equal(control(editor, "height").validationMessage, "");
  assert.deepEqual(editor.read(), { height: 10 });
});

test("fields need names of their own", () => {
  const editor = open({ a: "1" });
  press(editor, "Add a field");
  assert.throws(() => editor.read(), /needs a name/);
  type(rows(editor)[1].querySelector(".name"), "a");
  assert.throws(() => editor.read(), /Another field has this name/);
  type(rows(editor)[1].querySelector(".name"), "b");
  assert.deepEqual(editor.read(), { a: "1", b: "" });
});

test("__proto__ is an ordinary name", () => {
  const editor = open({});
  press(editor, "Add a field");
  type(rows(editor)[0].querySelector(".name"), "__proto__");
  assert.deepEqual(Object.keys(editor.read()), ["__proto__"]);
});

test("a field can be removed", () => {
  const editor = open({ a: "1", b: "2" });
  document.body.append(editor.element);
  rows(editor)[0].querySelector(".remove").click();
  assert.deepEqual(editor.read(), { b: "2" });
  assert.equal(document.activeElement, rows(editor)[0].querySelector(".name"));
  rows(editor)[0].querySelector(".remove").click();
  assert.equal(document.activeElement.textContent, "Add a field");
  editor.element.remove();
});

test("a field keeps what its new type can hold", () => {
  const editor = open({ a: "12.50" });
  const [row] = rows(editor);
  chooseType(row, "number");
  assert.equal(toJson(editor.read()), '{"a":12.50}');
  chooseType(row, "text");
  assert.deepEqual(editor.read(), { a: "12.50" });
  chooseType(row, "boolean");
  assert.deepEqual(editor.read(), { a: false });
});

test("an unchanged time becomes text as it was written", () => {
  const editor = open({ seen: "2026-05-01T12:00:00.123+02:00" });
  chooseType(rows(editor)[0], "text");
  assert.equal(control(editor, "seen").value, "2026-05-01T12:00:00.123+02:00");
});

test("an expiry is set in a week, and removed again", async () => {
  const editor = open({ title: "Loan" });
  press(editor, "Set an expiry");
  const days = (Date.parse(editor.read().expiresAt) - Date.now()) / 86_400_000;
  assert.ok(days > 6.9 && days < 7.1, String(days));
  const button = buttonOf(editor, "Set an expiry");
  assert.equal(button.hidden, true);
  editor.element.querySelector("[aria-label='Never expire']").click();
  await Promise.resolve();
  assert.equal(button.hidden, false);
  assert.deepEqual(editor.read(), { title: "Loan" });
});

test("the expiry is the last row", () => {
  const editor = open({ expiresAt: "2026-01-31T12:00:00Z", title: "Loan" });
  assert.equal(rows(editor).at(-1).querySelector(".name").textContent, "Expires");
});

test("both forms have the same fields", () => {
  const editor = open({ title: "Raw", size: parseJson("1.0") });
  tab(editor, "JSON").click();
  const area = editor.element.querySelector("textarea.raw");
  assert.equal(area.value, '{\n  "title": "Raw",\n  "size": 1.0\n}');
  type(area, '{"title": "Cooked", "deep": {"er": null}}');
  tab(editor, "Fields").click();
  assert.deepEqual(rows(editor).map((row) => row.querySelector(".name").value), ["title", "deep"]);
  assert.deepEqual(editor.read(), { title: "Cooked", deep: { er: null } });
});

test("a form with mistakes is not left for the other", () => {
  const editor = open({ title: "Raw" });
  tab(editor, "JSON").click();
  for (const text of ["{", "[]", "5", "null"]) {
    type(editor.element.querySelector("textarea.raw"), text);
    tab(editor, "Fields").click();
    assert.equal(tab(editor, "JSON").getAttribute("aria-selected"), "true", text);
  }
});

test("changes are reported, opening is not", () => {
  let changes = 0;
  const editor = open({ title: "a" }, () => (changes += 1));
  assert.equal(changes, 0);
  type(control(editor, "title"), "b");
  assert.equal(changes, 1);
  press(editor, "Add a field");
  assert.equal(changes, 2);
});

describe("undeclared fields", () => {
  test("get their type from what is typed", () => {
    const editor = open({});
    press(editor, "Add a field");
    const [row] = rows(editor);
    type(row.querySelector(".name"), "x");
    for (const [text, label, value] of [
      ["5", "Number", 5], ["true", "Yes or no", true], ["2026-01-02", "Date", "2026-01-02"], ["007", "Text", "007"],
      ["[1]", "JSON", [1]], ["[", "Text", "["], ["", "Text", ""],
    ]) {
      type(control(editor, "x"), text);
      assert.equal(row.querySelector("select").selectedOptions[0].textContent, `${label} (automatic)`);
      assert.deepEqual(editor.read(), { x: value });
    }
  });

  test("keep a chosen type", () => {
    const editor = open({});
    press(editor, "Add a field");
    const [row] = rows(editor);
    type(row.querySelector(".name"), "x");
    type(control(editor, "x"), "5");
    chooseType(row, "text");
    assert.deepEqual(editor.read(), { x: "5" });
    chooseType(row, "");
    assert.deepEqual(editor.read(), { x: 5 });
  });

  test("the button that removes one comes after its value", () => {
    const [row] = rows(open({ a: "1" }));
    const focusable = [...row.querySelectorAll("input, select, button")].map((one) => one.className || one.tagName);
    assert.deepEqual(focusable, ["name", "type", "INPUT", "quiet remove"]);
  });
});

describe("the form around the editor", () => {
  test("a refused expiry is shown at its field", async () => {
    const editor = open({ title: "Vase", expiresAt: "2026-01-31T12:00:00Z" });
    const message = "expiresAt must be a future time.";
    const save = async () => {
      throw new Problem({ status: 400, error: "INVALID_EXPIRY", message, requestId: "request-1" });
    };
    const form = new FieldsForm(editor, { save, leave: () => {}, offerSignIn: () => form.element }, {
      side: document.createElement("div"), label: "Save",
    });
    await form.submit();
    assert.equal(editor.element.querySelector(".field.invalid .field-error").textContent, message);
    assert.match(form.problems.textContent, /^Change the marked fields\..*request-1/);
  });
});
