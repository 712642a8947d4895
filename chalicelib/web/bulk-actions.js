// The bar with the actions on all selected items.

import { BulkRun } from "./bulk-run.js";
import { $, button, h, plural } from "./dom.js";
import { parseNumber } from "./exact-json.js";
import { allFieldNames, shownIds } from "./gallery.js";
import { deleteItems } from "./item-deletion.js";
import { EXPIRES_AT, fieldLabel } from "./item-fields.js";
import { itemSchemas } from "./item-name.js";
import { startRenaming } from "./item-rename.js";
import { copyLinks } from "./item-sharing.js";
import { storedItem } from "./item-store.js";
import { patchItem, writerOf } from "./item-writes.js";
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
 * @param {() => void} onSubmit called when the form is valid
 */
function ask(title, parts, onSubmit) {
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    dialog.close();
    onSubmit();
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
  });
}

const TYPES = { text: "Text", number: "Number", boolean: "Yes or no", list: "List", none: "Remove the field" };

/**
 * Return the type that a text most likely has.
 * @param {string} text
 * @returns {keyof typeof TYPES}
 */
export function guessType(text) {
  if (parseNumber(text) !== undefined) return "number";
  if (/^(yes|no|true|false)$/i.test(text.trim())) return "boolean";
  return readList(text) ? "list" : "text";
}

/**
 * Return a text as a value of a type, or undefined if it is none.
 * @param {string} text
 * @param {string} type
 */
export function valueOf(text, type) {
  if (type === "number") return parseNumber(text);
  if (type === "boolean") return { yes: true, true: true, no: false, false: false }[text.trim().toLowerCase()];
  if (type === "list") return readList(text);
  return type === "none" ? null : text;
}

/** Return the list that a text is as JSON, or undefined. @param {string} text @returns {any[] | undefined} */
function readList(text) {
  try {
    const value = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Return the type that a field is declared with, or undefined. @param {string} name */
function declaredType(name) {
  const schema = itemSchemas.ItemFields?.properties?.[name];
  const types = [schema, ...(schema?.anyOf ?? [])].flatMap((/** @type {Schema | undefined} */ one) => one?.type ?? []);
  const known = /** @type {Record<string, keyof typeof TYPES>} */ (
    { string: "text", number: "number", integer: "number", boolean: "boolean", array: "list" });
  return types.map((/** @type {string} */ type) => known[type]).find(Boolean);
}

function askField() {
  const options = Object.entries(TYPES).map(([value, label]) => h("option", { value }, label));
  let isTypeChosen = false;
  const guess = () => {
    if (!isTypeChosen) type.value = declaredType(name.value) ?? guessType(value.value);
    value.disabled = type.value === "none";
    const isWrong = !value.disabled && valueOf(value.value, type.value) === undefined;
    value.setCustomValidity(isWrong ? `This is not of the type “${TYPES[/** @type {"text"} */ (type.value)]}”.` : "");
  };
  const name = h("input", { required: true, autocomplete: "off", spellcheck: false, oninput: guess });
  name.setAttribute("list", "field-names"); // The property is read-only.
  const value = h("input", { autocomplete: "off", oninput: guess });
  const type = h("select", {
    onchange: () => {
      isTypeChosen = true;
      guess();
    },
  }, options);
  const names = allFieldNames().map((one) => h("option", { value: one }, fieldLabel(one)));
  ask(`Set a field of ${selectedCount()}`, [
    h("label", {}, "Field", name), h("datalist", { id: "field-names" }, names),
    h("label", {}, "Value", value), h("label", {}, "Type", type),
  ], () => {
    const changes = { [name.value]: valueOf(value.value, type.value) };
    setFields(changes, { running: `Setting “${name.value}”`, done: `“${name.value}” set` });
  });
  guess();
}
