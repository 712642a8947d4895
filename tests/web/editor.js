// The editor of fields as a user sees and uses it, for the tests. Import it after browser.js.

import { FieldEditor } from "../../chalicelib/web/field-editor.js";

export const open = (fields, onChange = () => {}, schemas = {}) => new FieldEditor(fields, onChange, { schemas });
export const rows = (editor) => [...editor.element.querySelectorAll(".field")];
export const control = (editor, name) => editor.element.querySelector(`[aria-label="Value of ${name}"]`);
export const tab = (editor, label) => editor.element.querySelector(`#tab-${label}`);
export const buttonOf = (editor, label) =>
  [...editor.element.querySelectorAll("button")].find((one) => one.textContent === label);
export const press = (editor, label) => buttonOf(editor, label).click();

/** Type a value. */
export function type(element, value) {
  element.value = value;
  element.dispatchEvent(new Event("input", { bubbles: true }));
}
