// The editor of an item's fields: a row for each, or all of them as JSON.

import { $, button, h, targetOf } from "./dom.js";
import { isNumber, parseJson, parseNumber, toJson } from "./exact-json.js";
import { EXPIRES_AT, isTimestamp } from "./item-fields.js";

// --------------------------------------------------------------------------------------------------------- field types

/** A value has the first type that matches. @type {Record<TypeName, FieldType>} */
const TYPES = {
  text: {
    label: "Text",
    matches: (value) => typeof value === "string" && !isNumber(value) && !isTimestamp(value),
    show: (value) => h("textarea", { rows: 1, value: value ?? "" }),
    read: (control) => control.value,
  },
  number: {
    label: "Number",
    matches: isNumber,
    show: (value) => h("input", { inputMode: "decimal", value: isNumber(value) ? toJson(value) : "" }),
    read: (control) => parseNumber(control.value) ?? reject(control, "Enter a number, such as 12.5."),
  },
  boolean: {
    label: "Yes or no",
    matches: (value) => typeof value === "boolean",
    show: (value) => h("input", { type: "checkbox", role: "switch", checked: value === true }),
    read: (control) => control.checked,
  },
  time: {
    label: "Date and time",
    matches: isTimestamp,
    show: timeControl,
    read: (control) => readTime(control) ?? reject(control, "Choose a date and a time."),
  },
  json: {
    label: "JSON",
    matches: () => true,
    show: (value) => h("textarea", {
      rows: 2, class: "code", spellcheck: false, value: value === undefined ? "" : toJson(value, 2),
    }),
    read: (control) => readJson(control),
  },
};

const TYPE_NAMES = /** @type {TypeName[]} */ (Object.keys(TYPES));

/** Show a time in the user's zone, to the second. @param {any} value */
function timeControl(value) {
  const at = isTimestamp(value) ? new Date(value) : null;
  const hasSeconds = Boolean(at?.getSeconds());
  const control = h("input", { type: "datetime-local", step: hasSeconds ? 1 : 60 });
  if (!at) return control;
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  control.value = local.toISOString().slice(0, hasSeconds ? 19 : 16);
  control.dataset.original = value;
  control.dataset.shown = control.value;
  return control;
}

/**
 * Return the time as the API writes it. If it was not changed, it keeps its milliseconds and its zone.
 * @param {any} control
 * @returns {string | undefined}
 */
function readTime({ value, dataset: { original, shown } }) {
  if (shown && value === shown) return original;
  return value ? new Date(value).toISOString() : undefined;
}

/** @param {Control} control */
function readJson(control) {
  try {
    return parseJson(control.value);
  } catch (error) {
    return reject(control, `This is not valid JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** Show at a control what is wrong, and throw SyntaxError. @param {Control} control @param {string} message */
function reject(control, message) {
  control.setCustomValidity(message);
  control.addEventListener("input", () => control.setCustomValidity(""), { once: true });
  control.reportValidity();
  throw new SyntaxError(message);
}

/**
 * Return what can be kept of a value when its field gets another type.
 * @param {string | undefined} text
 * @param {TypeName} from
 * @param {TypeName} to
 */
export function convertText(text, from, to) {
  if (text === undefined) return undefined;
  if (to === "number") return parseNumber(text);
  if (to === "json" && ["text", "time"].includes(from)) return text === "" ? undefined : text;
  return to === "text" && from === "json" ? text.replace(/^"(.*)"$/s, "$1") : text;
}

// ---------------------------------------------------------------------------------------------------------------- rows

/** A field's name, type and value. Name and type of the expiry are fixed. */
class FieldRow {
  /** @param {string} name @param {any} value */
  constructor(name, value) {
    this.value = value;
    this.type = /** @type {TypeName} */ (TYPE_NAMES.find((one) => TYPES[one].matches(value)));
    this.originalType = this.type;
    this.isExpiry = name === EXPIRES_AT && this.type === "time";
    this.nameInput = h("input", {
      class: "name", value: name, required: true, "aria-label": "Name of the field", spellcheck: false,
      hidden: this.isExpiry, oninput: () => this.#label(),
    });
    this.typeSelect = this.#typeSelect();
    this.removeButton = button("×", () => this.#remove(), { class: "quiet remove" });
    this.control = TYPES[this.type].show(value);
    this.originalContent = this.#content();
    this.element = h("li", { class: `field${this.isExpiry ? " expires" : ""}` },
      this.isExpiry && h("span", { class: "name" }, "Expires"),
      this.nameInput, this.typeSelect, this.removeButton, this.control);
    this.#label();
  }

  get name() {
    return this.nameInput.value;
  }

  /** A value that was not changed stays as it was: a text area normalizes line ends (HTML, "API value"). */
  read() {
    const isUnchanged = this.type === this.originalType && this.#content() === this.originalContent;
    return isUnchanged ? this.value : TYPES[this.type].read(this.control);
  }

  #typeSelect() {
    const options = TYPE_NAMES.map((one) => h("option", { value: one }, TYPES[one].label));
    const onchange = () => this.#changeType(/** @type {TypeName} */ (select.value));
    const select = h("select", { "aria-label": "Type of the field", hidden: this.isExpiry, onchange }, options);
    select.value = this.type;
    return select;
  }

  #content() {
    return this.type === "boolean" ? /** @type {HTMLInputElement} */ (this.control).checked : this.control.value;
  }

  #text() {
    if (this.type === "boolean") return undefined;
    return this.type === "time" ? readTime(this.control) : this.control.value;
  }

  /** @param {TypeName} type */
  #changeType(type) {
    const control = TYPES[type].show(convertText(this.#text(), this.type, type));
    this.control.replaceWith(control);
    this.control = control;
    this.type = type;
    this.#label();
  }

  #label() {
    this.control.setAttribute("aria-label", this.isExpiry ? "Expires" : `Value of ${this.name || "the field"}`);
    this.removeButton.setAttribute("aria-label", this.isExpiry ? "Never expire" : `Remove the field ${this.name}`);
  }

  #remove() {
    const { element } = this;
    const body = /** @type {HTMLElement} */ (element.parentElement?.parentElement);
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    element.dispatchEvent(new Event("removed", { bubbles: true }));
    element.remove();
    $(neighbour ? "input:not([hidden]), textarea" : "button", neighbour ?? body).focus();
  }
}

class FieldForm {
  /** @type {FieldRow[]} */
  #rows = [];
  #list = h("ul", { class: "fields" });
  #expiryButton = button("Set an expiry", () => this.#add(EXPIRES_AT, inAWeek()).control.focus(), { class: "text" });

  /** @param {Fields} fields */
  constructor(fields) {
    const addButton = button("Add a field", () => this.#add("", "").nameInput.focus());
    this.elements = [this.#list, h("div", { class: "row" }, addButton, this.#expiryButton)];
    this.#list.addEventListener("removed", () => queueMicrotask(() => this.#update()));
    this.#list.addEventListener("input", () => this.#update());
    // The expiry last, where the button for it is.
    const isExpiry = (/** @type {[string, any]} */ [name]) => Number(name === EXPIRES_AT);
    const entries = Object.entries(fields).sort((one, other) => isExpiry(one) - isExpiry(other));
    for (const [name, value] of entries) this.#add(name, value);
    this.#update();
  }

  read() {
    return readRows(this.#remaining());
  }

  /** @param {string} name @param {any} value */
  #add(name, value) {
    const row = new FieldRow(name, value);
    this.#rows.push(row);
    this.#list.append(row.element);
    this.#list.dispatchEvent(new Event("input", { bubbles: true }));
    return row;
  }

  #remaining() {
    return this.#rows.filter(({ element }) => element.parentElement === this.#list);
  }

  #update() {
    this.#expiryButton.hidden = this.#remaining().some(({ name }) => name === EXPIRES_AT);
  }
}

/** @param {FieldRow[]} rows */
function readRows(rows) {
  /** @type {Fields} */
  const fields = {};
  for (const row of rows) {
    if (row.name === "") reject(row.nameInput, "A field needs a name.");
    if (Object.hasOwn(fields, row.name)) reject(row.nameInput, "Another field has this name.");
    const value = row.read();
    // An assignment has another meaning for `__proto__`.
    Object.defineProperty(fields, row.name, { value, enumerable: true, configurable: true, writable: true });
  }
  return fields;
}

function inAWeek() {
  const at = new Date();
  at.setDate(at.getDate() + 7);
  at.setSeconds(0, 0);
  return at.toISOString();
}

class JsonForm {
  #area;

  /** @param {Fields} fields */
  constructor(fields) {
    const label = "The item's fields as JSON";
    this.#area = h("textarea", { class: "code raw", spellcheck: false, value: toJson(fields, 2), "aria-label": label });
    this.elements = [this.#area];
  }

  read() {
    const value = readJson(this.#area);
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    return isObject ? value : reject(this.#area, "Enter a JSON object, such as { \"title\": \"Vase\" }.");
  }
}

// -------------------------------------------------------------------------------------------------------------- editor

/** The two forms in tabs. */
export class FieldEditor {
  #tabs = [this.#tab("Fields", 0), this.#tab("JSON", 1)];
  #body = h("div", { id: "editor-body", role: "tabpanel" });
  /** @type {FieldForm | JsonForm} */
  #form;

  /**
   * @param {Fields} fields
   * @param {() => void} onChange
   */
  constructor(fields, onChange) {
    this.#form = this.#show(fields, 0);
    const onkeydown = (/** @type {KeyboardEvent} */ event) => this.#switchByKey(event);
    const tabList = h("div", { role: "tablist", class: "tabs", "aria-label": "How to edit", onkeydown }, this.#tabs);
    const listeners = { oninput: onChange, onchange: onChange, onremoved: onChange };
    this.element = h("div", { class: "editor", ...listeners }, tabList, this.#body);
  }

  /** Return the fields. Throw SyntaxError, which the control shows. @returns {Fields} */
  read() {
    return this.#form.read();
  }

  /** @param {string} label @param {number} index */
  #tab(label, index) {
    const properties = { role: "tab", id: `tab-${label}`, "aria-controls": "editor-body" };
    return button(label, () => this.#switchTo(index), properties);
  }

  /** @param {Fields} fields @param {number} index of the tab */
  #show(fields, index) {
    const form = index === 0 ? new FieldForm(fields) : new JsonForm(fields);
    this.#body.replaceChildren(...form.elements);
    this.#tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === index));
      tab.tabIndex = place === index ? 0 : -1;
    });
    this.#body.setAttribute("aria-labelledby", this.#tabs[index].id);
    return form;
  }

  /** @param {number} index */
  #switchTo(index) {
    let fields;
    try {
      fields = this.read();
    } catch {
      return; // The control shows what is wrong.
    }
    this.#form = this.#show(fields, index);
  }

  /** @param {KeyboardEvent} event */
  #switchByKey(event) {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key) || targetOf(event).getAttribute("role") !== "tab") return;
    const other = /** @type {HTMLElement} */ (this.#tabs.find((tab) => tab.tabIndex < 0));
    other.click();
    other.focus();
  }
}
