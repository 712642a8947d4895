// Sets a field of all selected items.

import { BulkRun } from "./bulk-run.js";
import { TypedControl } from "./composite-controls.js";
import { showQuestion } from "./dialog.js";
import { button, h, plural, targetOf } from "./dom.js";
import { EXPIRES_AT, fieldLabel, itemSchemas } from "./field-metadata.js";
import { controlFor, inAWeek } from "./field-rows.js";
import { allFieldNames } from "./gallery.js";
import { storeItem, storedItem } from "./item-store.js";
import { patchItem, patchOf } from "./item-writes.js";
import { SchemaReader } from "./json-schema.js";
import { Input, InvalidInput } from "./scalar-inputs.js";
import { selectedIds } from "./selection.js";

/**
 * Set fields of the selected items.
 * @param {Fields} changes
 * @param {string} label of what is set
 */
export function setFields(changes, label) {
  const ids = selectedIds();
  /** @type {BulkAction} */
  const action = {
    running: `Setting ${label}`,
    done: `Set ${label}`,
    operationOf: (item) => ({ op: "patch", body: patchOf(item, changes) }),
    onWritten: (written) => written.forEach(({ item, version }) => storeItem(changedItem(item, changes, version))),
    writeAlone: (item) => patchItem(item, changes),
  };
  return new BulkRun(action, new Map(ids.map((id) => [id, storedItem(id)]))).run(ids);
}

/**
 * Return an item as it is after a change. A batch returns only its version.
 * @param {Item} before
 * @param {Fields} changes null removes a field
 * @param {number} [version]
 * @returns {Item}
 */
export function changedItem(before, changes, version = before.version) {
  if (version === before.version) return before;
  const kept = Object.entries({ ...before, ...changes }).filter(([name]) => changes[name] !== null);
  return { .../** @type {Item} */ (Object.fromEntries(kept)), version, updatedAt: new Date().toISOString() };
}

const reader = new SchemaReader({ components: { schemas: itemSchemas } });

const declared = itemSchemas.ItemFields?.properties ?? {};

/** @param {string} name */
const isDeclared = (name) => Object.hasOwn(declared, name);

/**
 * Return a control for a field: a declared one has the input that fits its schema, any other one takes any type.
 * @param {string} name
 * @returns {FieldControl}
 */
function controlOf(name) {
  if (name === EXPIRES_AT) return new Input("time", inAWeek());
  if (isDeclared(name)) return controlFor(reader, declared[name], undefined, true);
  return new TypedControl(undefined, { isAutomatic: true });
}

/**
 * Ask for a value, and set it on the selected items.
 * @param {string} [field] without it, the user chooses one
 */
export function askField(field = "") {
  const isExpiry = field === EXPIRES_AT;
  const label = isExpiry ? "Expires" : "Value";
  let control = controlOf(field);
  let isShownFor = field;
  const error = h("p", { class: "field-error", role: "alert" });
  const place = h("div", { class: "value", oninput: (/** @type {Event} */ event) => clearError(event, error) });
  const showControl = () => {
    control.setLabel(label);
    place.replaceChildren(control.element, control instanceof TypedControl ? control.select : "");
  };
  const oninput = () => {
    const wanted = isDeclared(name.value) ? name.value : "";
    if (wanted === isShownFor) return; // What was typed stays.
    isShownFor = wanted;
    control = controlOf(wanted);
    showControl();
  };
  const name = h("input", { value: field, required: true, autocomplete: "off", spellcheck: false, oninput });
  name.setAttribute("list", "field-names"); // The property is read-only.
  const removal = h("input", { type: "checkbox", onchange: () => (place.inert = removal.checked) });
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const value = removal.checked ? null : readOrShow(control, error);
    if (value === undefined) return;
    question.close();
    setFields({ [name.value]: value }, isExpiry ? "the expiry" : `“${name.value}”`);
  };
  showControl();
  const names = allFieldNames().map((one) => h("option", { value: one }, fieldLabel(one)));
  const title = `Set ${isExpiry ? "the expiry" : "a field"} of ${plural(selectedIds().length, "item")}`;
  const question = showQuestion({},
    h("h2", { id: "question" }, title),
    h("form", { class: "ask-form", onsubmit },
      !isExpiry && [h("label", {}, "Field", name), h("datalist", { id: "field-names" }, names)],
      h("div", {}, h("span", { class: "label", "aria-hidden": "true" }, label), place), error,
      h("label", { class: "check" }, removal, isExpiry ? "Never expires" : "Remove the field instead"),
      isExpiry && h("p", { class: "note" }, "Expired items are deleted with their pictures."),
      h("div", { class: "row" }, button("Cancel", () => question.close()), h("button", { class: "primary" }, "Set"))));
}

/** Hide the error when the user types: the input may be right now. @param {Event} event @param {Element} error */
function clearError(event, error) {
  targetOf(event).setCustomValidity?.("");
  error.textContent = "";
}

/**
 * Return the value that was entered, or undefined if `error` shows what is wrong.
 * @param {FieldControl} control
 * @param {Element} error
 */
function readOrShow(control, error) {
  try {
    const value = control.read();
    if (value !== undefined) return value;
    error.textContent = "Enter a value.";
  } catch (problem) {
    if (!(problem instanceof InvalidInput)) throw problem;
    error.textContent = problem.message;
  }
  return undefined;
}
