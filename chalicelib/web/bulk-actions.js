// The bar with the actions on all selected items.

import { BulkRun } from "./bulk-run.js";
import { $, button, h, plural } from "./dom.js";
import { TypedControl } from "./field-controls.js";
import { InvalidInput } from "./field-inputs.js";
import { controlFor } from "./field-rows.js";
import { allFieldNames, shownIds } from "./gallery.js";
import { deleteItems } from "./item-deletion.js";
import { EXPIRES_AT, fieldLabel } from "./item-fields.js";
import { itemSchemas } from "./item-name.js";
import { startRenaming } from "./item-rename.js";
import { copyLinks } from "./item-sharing.js";
import { storedItem } from "./item-store.js";
import { patchItem, writerOf } from "./item-writes.js";
import { SchemaReader } from "./json-schema.js";
import { clearSelection, selectAll, selectedIds } from "./selection.js";

// ----------------------------------------------------------------------------------------------------------------- bar

const count = h("p", { class: "selected-count" });
const allButton = button("", selectAll, { class: "link" });
const renameButton = button("Rename", () => startRenaming(selectedIds()[0]));
const bar = h("section", { class: "selection-bar", "aria-label": "Selected items", hidden: true },
  count, allButton,
  h("div", { class: "row" },
    renameButton,
    button("Copy link", () => copyLinks(selectedIds())),
    button("Set field…", askField),
    button("Set expiry…", askExpiry),
    button("Delete", () => deleteItems(selectedIds()), { class: "danger" })),
  button("×", clearSelection, { class: "icon", "aria-label": "Clear the selection", title: "Esc" }));
$("#lists").before(bar);


document.addEventListener("selection", () => {
  const [ids, shown] = [selectedIds(), new Set(shownIds())];
  const hidden = ids.filter((id) => !shown.has(id)).length;
  count.textContent = `${ids.length} selected${hidden > 0 ? `, ${hidden} of them not shown` : ""}`;
  allButton.textContent = `Select all ${shown.size}`;
  allButton.hidden = ids.length - hidden === shown.size;
  renameButton.hidden = ids.length !== 1 || hidden > 0;
  const hadFocus = bar.contains(document.activeElement);
  bar.hidden = ids.length === 0;
  if (bar.hidden && hadFocus) ($("#lists a[tabindex='0']") ?? $("#new")).focus();
});

// ------------------------------------------------------------------------------------------------------------- setting

/**
 * Set fields of the selected items.
 * @param {Fields} changes
 * @param {{running: string, done: string}} texts
 */
function setFields(changes, texts) {
  const ids = selectedIds();
  const write = writerOf(ids.map(storedItem), (item) => patchItem(item, changes));
  return new BulkRun(write, texts).run(ids);
}

/**
 * Show a dialog with a form.
 * @param {string} title
 * @param {Child[]} parts
 * @param {() => boolean} onSubmit returns whether the dialog can be closed
 */
function ask(title, parts, onSubmit) {
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (onSubmit()) dialog.close();
  };
  const onclose = () => {
    dialog.remove();
    opener?.focus();
  };
  const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title", onclose },
    h("h2", { id: "ask-title" }, title),
    h("form", { class: "ask-form", onsubmit }, parts,
      h("div", { class: "row" }, button("Cancel", () => dialog.close()), h("button", { class: "primary" }, "Set"))));
  document.body.append(dialog);
  dialog.showModal();
  $("input", dialog).focus();
}

const selectedCount = () => plural(selectedIds().length, "item");

function askExpiry() {
  const at = new Date(Date.now() + 7 * 24 * 60 * 60 * 1000);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const time = h("input", { type: "datetime-local", value: local, required: true });
  const never = h("input", { type: "checkbox", onchange: () => (time.disabled = never.checked) });
  ask(`Set the expiry of ${selectedCount()}`, [
    h("label", {}, "Expires", time),
    h("label", { class: "check" }, never, "Never expires"),
    h("p", { class: "note" }, "Expired items are deleted with their pictures."),
  ], () => {
    const value = never.checked ? null : new Date(time.value).toISOString();
    setFields({ [EXPIRES_AT]: value }, { running: "Setting the expiry", done: "Expiry set" });
    return true;
  });
}

const reader = new SchemaReader({ components: { schemas: itemSchemas } });

function askField() {
  /** @type {string | null} */
  let shownFor = null;
  /** @type {FieldControl} */
  let control;
  const place = h("div", { class: "value" });
  const error = h("p", { class: "field-error", role: "alert" });
  /** A declared field has the control that fits its schema, any other one of any type. */
  const showControl = () => {
    const declared = itemSchemas.ItemFields?.properties?.[name.value];
    const wanted = declared ? name.value : "";
    if (wanted === shownFor) return;
    shownFor = wanted;
    control = declared
      ? controlFor(reader, declared, undefined, true) : new TypedControl(undefined, { isAutomatic: true });
    control.setLabel("Value");
    place.replaceChildren(control.element, control instanceof TypedControl ? control.select : "");
  };
  const name = h("input", { required: true, autocomplete: "off", spellcheck: false, oninput: showControl });
  name.setAttribute("list", "field-names"); // The property is read-only.
  const removal = h("input", { type: "checkbox", onchange: () => (place.inert = removal.checked) });
  const names = allFieldNames().map((one) => h("option", { value: one }, fieldLabel(one)));
  showControl();
  ask(`Set a field of ${selectedCount()}`, [
    h("label", {}, "Field", name), h("datalist", { id: "field-names" }, names),
    h("div", {}, h("span", { class: "label", "aria-hidden": "true" }, "Value"), place), error,
    h("label", { class: "check" }, removal, "Remove the field instead"),
  ], () => {
    const value = removal.checked ? null : readOrShow(control, error);
    if (value === undefined) return false;
    setFields({ [name.value]: value }, { running: `Setting “${name.value}”`, done: `“${name.value}” set` });
    return true;
  });
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
