import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { FieldEditor } from "../../chalicelib/web/field-editor.js";
import { keyFor, newItemFields, planPictures } from "../../chalicelib/web/new-item.js";

const declaring = (properties, required = [], more = {}) =>
  ({ ItemFields: { type: "object", properties, required, additionalProperties: {}, ...more } });

describe("new items", () => {
  test("begin with a title if nothing is declared", () => {
    assert.deepEqual(newItemFields({}), { title: "" });
    assert.deepEqual(newItemFields(declaring({ expiresAt: {}, visibility: {} })), { title: "" });
    assert.deepEqual(newItemFields(declaring({ sku: { type: "string" } })), {});
    assert.deepEqual(newItemFields(declaring({}, [], { additionalProperties: false })), {});
  });

  test("keep their key until their fields change", () => {
    const first = keyFor({ a: 1 });
    assert.equal(keyFor({ a: 1 }, first), first);
    assert.notEqual(keyFor({ a: 2 }, first).value, first.value);
  });
});

describe("items of pictures", () => {
  test("are named after their files", () => {
    assert.deepEqual(planPictures(["Moon"], {}).items, [{ title: "Moon" }]);
    const named = declaring({ count: { type: "integer" }, label: { type: "string", maxLength: 4 } }, ["label"]);
    assert.deepEqual(planPictures(["Moonlight", "Sun"], named).items, [{ label: "Moon" }, { label: "Sun" }]);
  });

  test("have no name if their schema allows none", () => {
    const closed = declaring({ count: { type: "integer" } }, [], { additionalProperties: false });
    assert.deepEqual(planPictures(["Moon"], closed).items, [{}]);
    const coded = declaring({ code: { type: "string", pattern: "^[A-Z]\\d$" } });
    assert.deepEqual(planPictures(["Moon", "A1"], coded).items, [{}, { code: "A1" }]);
  });

  test("are asked for their required fields once", () => {
    const shop = declaring({
      note: { type: "string" }, price: { type: "number" },
      name: { type: "string", minLength: 2, description: "Its name." },
    }, ["price", "name"]);
    const plan = planPictures(["Moon", "S"], shop);
    const { properties, required } = plan.schemas.ItemFields;
    assert.deepEqual([Object.keys(properties), required], [["price", "name"], ["price", "name"]]);
    assert.deepEqual(Object.values(properties.name.properties).map(({ title }) => title), ["Moon", "S"]);
    const names = [{ name: "0", content: "Moon" }, { name: "1", content: "S" }];
    assert.deepEqual(plan.suggested, [{ name: "name", content: names }]);
    assert.deepEqual(
      plan.itemsOf({ price: 5, name: { 0: "Moon", 1: "Sun" } }),
      [{ price: 5, name: "Moon" }, { price: 5, name: "Sun" }],
    );
  });

  test("are asked for a name that no file's name can be", () => {
    const coded = declaring({ code: { type: "string", pattern: "^[A-Z]\\d$" } }, ["code"]);
    const plan = planPictures(["Moon"], coded);
    const editor = new FieldEditor({}, () => {}, { schemas: plan.schemas, isItem: false });
    editor.restore({ tab: 0, form: plan.suggested });
    assert.throws(() => editor.read(), SyntaxError);
    const input = editor.element.querySelector("[aria-label=Moon]");
    assert.deepEqual([input.value, input.validationMessage], ["Moon", "Enter text that matches ^[A-Z]\\d$."]);
    input.value = "A1";
    assert.deepEqual(editor.read(), { code: { 0: "A1" } });
    assert.deepEqual(plan.itemsOf({ code: { 0: "A1" } }), [{ code: "A1" }]);
  });

  test("without a text field are asked for the others alone", () => {
    const closed = declaring({ count: { type: "integer" } }, ["count"], { additionalProperties: false });
    const plan = planPictures(["Moon", "Sun"], closed);
    assert.deepEqual(plan.suggested, []);
    assert.deepEqual(plan.itemsOf({ count: 1 }), [{ count: 1 }, { count: 1 }]);
  });

  test("may have a title beside what is declared", () => {
    const open = declaring({ count: { type: "integer" } }, ["count"]);
    const plan = planPictures(["Moon"], open);
    assert.deepEqual(plan.schemas.ItemFields.required, ["count"]);
    assert.deepEqual(plan.itemsOf({ count: 1, title: { 0: "Moon" } }), [{ count: 1, title: "Moon" }]);
  });
});
