// The fields of an object in rows: those that its schema declares, and others.

import { ListControl, ObjectControl, TypedControl, announceRemoval } from "./composite-controls.js";
import { $, button, h, targetOf } from "./dom.js";
import { isEqual, isObject, parseNumber, toJson } from "./exact-json.js";
import { EXPIRES_AT, VISIBILITY, fieldLabel, fieldsForVisitors, isTimestamp } from "./field-metadata.js";
import { limitsOf } from "./json-schema.js";
import { renderInline } from "./markdown.js";
import { INPUTS, Input, InvalidInput, invalid, kindOf } from "./scalar-inputs.js";

const FOCUSABLE = "input:not([hidden]), textarea, select:not([hidden]), button";

/**
 * Return a control for a value that a schema describes. A value that does not fit keeps its own type.
 * @param {SchemaReader} reader
 * @param {Schema} declared
 * @param {any} value undefined if there is none
 * @param {boolean} isRequired
 * @returns {FieldControl}
 */
export function controlFor(reader, declared, value, isRequired) {
  const schema = reader.resolve(declared);
  const kind = kindOf(schema);
  const isSet = (value ?? null) !== null;
  if (kind === "any" || (isSet && !fits(kind, schema, value))) {
    return new TypedControl(value, { isAutomatic: !isSet, canBeLeftOut: true });
  }
  if (kind === "list") {
    return new ListControl((one) => controlFor(reader, schema.items, one, false), value, { schema, isRequired });
  }
  if (kind === "object") return new ObjectControl((fields) => new FieldList(reader, schema, fields), value, isRequired);
  return kind === "boolean" ? booleanInput(schema, value, isRequired) : new Input(kind, value, schema);
}

/**
 * Return a choice for a value that may be left out, because a switch is always on or off.
 * @param {Schema} schema
 * @param {any} value
 * @param {boolean} isRequired
 */
function booleanInput(schema, value, isRequired) {
  const canBeLeftOut = !isRequired && typeof schema.default !== "boolean";
  if (canBeLeftOut) return new Input("choice", value, { enum: [true, false] });
  return new Input("boolean", value ?? false, schema);
}

/** @param {InputKind | "list" | "object"} kind @param {Schema} schema @param {any} value */
function fits(kind, schema, value) {
  if (kind === "list") return Array.isArray(value);
  if (kind === "object") return isObject(value);
  if (kind === "choice") return schema.enum.some((/** @type {any} */ one) => isEqual(one, value));
  if (kind === "text") return INPUTS.long.fits(value);
  const isDecimal = schema.format === "decimal" && typeof value === "string" && parseNumber(value) !== undefined;
  return isDecimal || INPUTS[kind].fits(value);
}

let lastId = 0;

/** A field: its name or label, its control, what is allowed, and what is wrong. */
class Row {
  #error = h("p", { class: "field-error" });

  /**
   * @param {FieldControl} control
   * @param {RowOptions} options
   */
  constructor(control, { name, label, help, isRequired = false, removeLabel }) {
    lastId += 1;
    this.id = `field-${lastId}`;
    this.control = control;
    this.fixedName = label === undefined ? undefined : name;
    this.fixedLabel = label;
    this.isRequired = isRequired;
    this.removeLabel = removeLabel;
    this.nameInput = h("input", {
      class: "name", value: name, required: true, "aria-label": "Name of the field", placeholder: "Name",
      spellcheck: false, autocapitalize: "off", oninput: () => this.#label(),
    });
    this.removeButton = button("×", () => this.#remove(), { class: "quiet remove" });
    this.#error.id = `${this.id}-error`;
    this.element = h("li", { class: `field${removeLabel ? " expires" : ""}`, ...this.#listeners() }, this.#head(),
      control.element, !this.isDeclared && this.removeButton,
      help && h("p", { class: "note", id: `${this.id}-help` }, help), this.#error);
    this.#label();
  }

  #listeners() {
    return {
      oninput: (/** @type {Event} */ event) => this.#isOwn(event) && this.#clearError(targetOf(event)),
      onchange: (/** @type {Event} */ event) => this.#isOwn(event) && this.#check(),
    };
  }

  /** Return what is shown before the control: the name or the label, and the type if it can be chosen. */
  #head() {
    const required = this.isRequired && h("span", { class: "required" }, "required");
    const { fixedLabel: label } = this;
    return [
      label === undefined ? this.nameInput : h("label", { class: "name", htmlFor: this.id }, label, required),
      this.control instanceof TypedControl && this.control.select,
    ];
  }

  get isDeclared() {
    return this.fixedName !== undefined && !this.removeLabel;
  }

  get name() {
    return this.fixedName ?? this.nameInput.value;
  }

  get content() {
    return { name: this.name, content: this.control.content };
  }

  /**
   * Return the value, or undefined if the field is left out. Throw InvalidInput, and show it.
   * @param {boolean} [isPartial] whether required fields may be missing
   */
  read(isPartial = false) {
    this.showError("", "");
    try {
      if (this.name === "") return invalid("A field needs a name.");
      const value = this.control.read(isPartial);
      if (value !== undefined || !this.isRequired || isPartial) return value;
      this.control.showError("", " ");
      return invalid(`${this.fixedLabel} is required.`);
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      this.#show(error.message);
      throw error;
    }
  }

  /**
   * Show what is wrong with the field, or with a part of it.
   * @param {string} path of the part, such as "[2].height"; "" for the whole
   * @param {string} message "" if nothing is wrong
   */
  showError(path, message) {
    if (!this.control.showError(path, message)) this.#show(message);
  }

  /** @param {string} message */
  rejectName(message) {
    this.nameInput.setCustomValidity(message);
    this.#show(message);
  }

  focus() {
    if (this.name === "") this.nameInput.focus();
    else this.control.focus();
  }

  /** @param {string} message */
  #show(message) {
    if (!message) this.nameInput.setCustomValidity("");
    this.#error.textContent = message.trim();
    this.element.classList.toggle("invalid", message !== "");
  }

  /** Hide the error of an input in which the user types: it may be right now. @param {HTMLInputElement} input */
  #clearError(input) {
    input.setCustomValidity?.("");
    input.removeAttribute("aria-invalid");
    this.showError("", "");
  }

  /** Tell what is wrong when the user leaves the field. */
  #check() {
    if (!(this.control instanceof Input) || this.control.content === "") return;
    try {
      this.control.read();
    } catch (error) {
      this.#show(/** @type {Error} */ (error).message);
    }
  }

  /** @param {Event} event */
  #isOwn(event) {
    return targetOf(event).closest(".field") === this.element;
  }

  #label() {
    this.control.setLabel(this.fixedLabel ?? `Value of ${this.name || "the field"}`, this.id);
    const { control } = this; // A switch has no such attribute: it is always on or off.
    if (this.isRequired && control instanceof Input && control.kind !== "boolean") {
      control.element.setAttribute("aria-required", "true");
    }
    this.removeButton.setAttribute("aria-label", this.removeLabel ?? `Remove the field ${this.name}`);
  }

  #remove() {
    const { element } = this;
    const place = /** @type {HTMLElement} */ (element.parentElement?.parentElement);
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    announceRemoval(element);
    element.remove();
    $(neighbour ? FOCUSABLE : "button.add", neighbour ?? place).focus();
  }
}

/** The rows of an object, in the order: required, optional, undeclared; at the top level the expiry is the last. */
export class FieldList {
  #reader;
  #schema;
  #isItem;
  /** The rows by their elements. @type {Map<Element, Row>} */
  #rows = new Map();
  #list = h("ul", { class: "fields" });
  #expiryButton = button("Set an expiry", () => this.#addExpiry(inAWeek()).focus(), { class: "text" });

  /** @param {SchemaReader} reader @param {Schema} schema resolved @param {Fields} fields @param {boolean} [isItem] */
  constructor(reader, schema, fields, isItem = false) {
    this.#reader = reader;
    this.#schema = schema;
    this.#isItem = isItem;
    this.#list.classList.toggle("compact", schema.isCompact === true);
    this.#list.addEventListener("removed", () => queueMicrotask(() => this.#update()));
    this.#list.addEventListener("input", () => this.#update());
    const addButton = button("Add a field", () => this.#addFree("").focus(), { class: "add" });
    this.elements = [this.#list, h("div", { class: "row" }, this.#isOpen && addButton, isItem && this.#expiryButton)];
    for (const name of this.#declared) this.#addDeclared(name, fields);
    const others = Object.entries(fields).filter(([name]) => !this.#declared.includes(name));
    for (const [name, value] of others) this.#addOther(name, value);
    this.#update();
  }

  get #inOrder() {
    return [...this.#list.children].map((element) => /** @type {Row} */ (this.#rows.get(element)));
  }

  /** Whether fields may be added: to an item unless it is closed, to other objects if their schema asks for more. */
  get #isOpen() {
    const { additionalProperties: others, properties } = this.#schema;
    return others !== false && (this.#isItem || others !== undefined || !properties);
  }

  /** The names of the declared fields, the required ones first. */
  get #declared() {
    const names = Object.keys(this.#schema.properties ?? {}).filter((name) => !this.#isItem || name !== EXPIRES_AT);
    const isRequired = (/** @type {string} */ name) => Number(Boolean(this.#schema.required?.includes(name)));
    return names.sort((one, other) => isRequired(other) - isRequired(one));
  }

  get content() {
    return this.#inOrder.map((row) => row.content);
  }

  /** @param {{name: string, content: any}[]} contents */
  set content(contents) {
    const names = contents.map(({ name }) => name);
    const rows = this.#inOrder.filter((row) => row.isDeclared || names.includes(row.name));
    this.#list.replaceChildren(...rows.map(({ element }) => element));
    for (const { name, content } of contents) {
      const place = rows.findIndex((row) => row.name === name && isAlike(row.control.content, content));
      const [row] = place < 0 ? [this.#addOther(name, undefined)] : rows.splice(place, 1);
      row.control.content = isAlike(row.control.content, content) ? content : asTyped(content);
      if (!row.isDeclared) this.#list.append(row.element); // In their order.
    }
    this.#update();
  }

  /**
   * Return the object. Throw InvalidInput after each row has shown what is wrong with it.
   * @param {boolean} [isPartial] whether required fields may be missing
   */
  read(isPartial) {
    /** @type {Fields} */
    const fields = {};
    let failure = null;
    for (const row of this.#inOrder) {
      try {
        addValue(row, row.read(isPartial), fields);
      } catch (error) {
        if (!(error instanceof InvalidInput)) throw error;
        failure ??= error;
      }
    }
    if (failure) throw failure;
    return fields;
  }

  /**
   * Show an error at the field that a path names, such as ".size.height". Return whether there is one.
   * @param {string} path
   * @param {string} message
   */
  showError(path, message) {
    const named = this.#inOrder.filter(({ name }) =>
      path.startsWith(`.${name}`) && /^($|[.[])/.test(path.slice(name.length + 1)));
    const [row] = named.sort((one, other) => other.name.length - one.name.length);
    row?.showError(path.slice(row.name.length + 1), message);
    return row !== undefined;
  }

  focus() {
    (this.#inOrder[0] ?? $("button", this.elements[1])).focus();
  }

  /** @param {string} name @param {Fields} fields */
  #addDeclared(name, fields) {
    const declared = this.#schema.properties[name];
    const schema = this.#schemaOf(name);
    const isRequired = this.#schema.required?.includes(name) ?? false;
    const only = isRequired && schema.enum?.length === 1 ? schema.enum[0] : undefined;
    const value = Object.hasOwn(fields, name) ? fields[name] : schema.default ?? only;
    const control = controlFor(this.#reader, declared, value, isRequired);
    const label = declared.title ?? fieldLabel(name);
    const help = this.#schema.isCompact ? null : this.#helpOf(schema);
    return this.#add(control, { name, label, help, isRequired });
  }

  /** Return a declared field's schema, resolved. For the visibility, it says what visitors see. @param {string} name */
  #schemaOf(name) {
    const schema = this.#reader.resolve(this.#schema.properties[name]);
    if (!this.#isItem || name !== VISIBILITY) return schema;
    return { ...schema, description: `${schema.description} ${fieldsForVisitors()}` };
  }

  /** @param {string} name @param {any} value */
  #addOther(name, value) {
    return this.#isItem && name === EXPIRES_AT ? this.#addExpiry(value) : this.#addFree(name, value);
  }

  /** @param {string} name @param {any} [value] */
  #addFree(name, value) {
    const { additionalProperties: others } = this.#schema;
    const isDeclared = !this.#isItem && others && typeof others === "object";
    const control = isDeclared
      ? controlFor(this.#reader, others, value, true)
      : new TypedControl(value, { isAutomatic: value === undefined });
    return this.#add(control, { name });
  }

  /** @param {any} value */
  #addExpiry(value) {
    const kind = value === undefined || isTimestamp(value) ? "time" : "json";
    return this.#add(new Input(kind, value), { name: EXPIRES_AT, label: "Expires", removeLabel: "Never expire" });
  }

  /**
   * Add a row. The expiry stays the last one, because the button for it is there.
   * @param {FieldControl} control
   * @param {RowOptions} options
   */
  #add(control, options) {
    const row = new Row(control, options);
    const expiry = this.#inOrder.find(({ name, removeLabel }) => removeLabel && name === EXPIRES_AT);
    this.#rows.set(row.element, row);
    this.#list.insertBefore(row.element, expiry?.element ?? null);
    this.#list.dispatchEvent(new Event("input", { bubbles: true }));
    return row;
  }

  #update() {
    this.#expiryButton.hidden = this.#inOrder.some(({ name }) => name === EXPIRES_AT);
  }

  /** Return a field's description and limits. @param {Schema} schema resolved @returns {Child} */
  #helpOf(schema) {
    const { default: _, description, items, ...limited } = schema;
    const ofEach = items ? limitsOf(this.#reader.resolve(items)).map((limit) => `each ${limit}`) : [];
    const limits = [...limitsOf(limited), ...ofEach].join(", ");
    const parts = [description && renderInline(description), limits && `${limits[0].toUpperCase()}${limits.slice(1)}.`];
    const [first, second] = parts.filter(Boolean);
    const separator = /[.!?:;]$/.test(description ?? "") ? " " : ". ";
    return first && [first, second && separator, second];
  }
}

/** Return "parts" for a list or an object, which may be null, and otherwise the type. @param {any} content */
const shapeOf = (content) => (content === null || Array.isArray(content) ? "parts" : typeof content);

/** Return whether two contents fit the same control. @param {any} one @param {any} other */
const isAlike = (one, other) => shapeOf(one) === shapeOf(other);

/** Return the content of a draft for a field whose type has changed since. @param {any} content */
const asTyped = (content) =>
  (typeof content === "string" ? { kind: "", content } : { kind: "json", content: toJson(content, 2) });

/** @param {Row} row @param {any} value @param {Fields} fields */
function addValue(row, value, fields) {
  if (Object.hasOwn(fields, row.name)) {
    row.rejectName("Another field has this name.");
    invalid("Another field has this name.");
  }
  if (value === undefined) return;
  // An assignment has another meaning for `__proto__`.
  Object.defineProperty(fields, row.name, { value, enumerable: true, configurable: true, writable: true });
}

export function inAWeek() {
  const at = new Date();
  at.setDate(at.getDate() + 7);
  at.setSeconds(0, 0);
  return at.toISOString();
}
