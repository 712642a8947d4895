import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { Problem } from "../../chalicelib/web/api.js";
import { FieldsForm } from "../../chalicelib/web/fields-form.js";
import { open } from "./editor.js";

describe("fields-form", () => {
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
