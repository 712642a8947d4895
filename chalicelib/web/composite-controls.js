// Controls for values that one input cannot hold: values of any type, lists, objects.

import { $, button, h } from "./dom.js";
import { isNumber, isObject, parseNumber, toJson } from "./exact-json.js";
import { isTimestamp } from "./field-metadata.js";
import { INPUTS, Input, guess, invalid, isDate, kindOfValue, labelElement, violation } from "./scalar-inputs.js";

/** Announce that a part of the form is removed. @param {Element} element */
export const announceRemoval = (element) => element.dispatchEvent(new Event("removed", { bubbles: true }));

/** @param {any} value */
const isText = (value) => typeof value === "string" && !isNumber(value);

/** @param {any} value */
const isTextList = (value) => Array.isArray(value) && value.every(isText);

const FREE_KINDS = /** @type {FreeKind[]} */ (["text", "long", "number", "boolean", "date", "time", "list", "json"]);

/** @param {FreeKind} kind */
const freeLabel = (kind) => (kind === "list" ? "List of texts" : INPUTS[kind].label);

/** @param {any} value @returns {FreeKind} */
const freeKindOf = (value) => (isTextList(value) ? "list" : /** @type {FreeKind} */ (kindOfValue(value)));

/** What can be kept of a text when its field gets another type. @type {Record<FreeKind, (text: string) => any>} */
const CONVERSIONS = {
  text: (text) => text,
  long: (text) => text,
  number: parseNumber,
  boolean: (text) => text === "true",
  date: (text) => (isDate(text.slice(0, 10)) ? text.slice(0, 10) : undefined),
  time: (text) => (isTimestamp(text) ? text : undefined),
  list: (text) => text.split(/\s*[,\n]\s*/).filter(Boolean),
  json: (text) => text || undefined,
};

/**
 * Return what can be kept of a value when its field gets another type.
 * @param {any} value
 * @param {FreeKind} kind
 */
export function converted(value, kind) {
  if (value === undefined) return undefined;
  if (!isText(value) && kind === "json") return value;
  if (isTextList(value)) return kind === "list" ? value : CONVERSIONS[kind](value.join(", "));
  return CONVERSIONS[kind](isText(value) ? value : toJson(value));
}

/** A value of any type. The user chooses the type, or it follows from what is typed. @implements {FieldControl} */
export class TypedControl {
  #value;
  #canBeLeftOut;

  /** @param {any} value @param {{isAutomatic?: boolean, canBeLeftOut?: boolean}} [options] */
  constructor(value, { isAutomatic = false, canBeLeftOut = false } = {}) {
    this.isAutomatic = isAutomatic;
    this.#value = value;
    this.#canBeLeftOut = canBeLeftOut;
    this.kind = isAutomatic ? "text" : freeKindOf(value);
    this.inner = freeControl(this.kind, isAutomatic ? undefined : value);
    this.guessed = h("option", { value: "" });
    const properties = { class: "type", "aria-label": "Type of the field", onchange: () => this.#choose() };
    this.select = h("select", properties, isAutomatic && this.guessed,
      FREE_KINDS.map((kind) => h("option", { value: kind }, freeLabel(kind))));
    this.select.value = isAutomatic ? "" : this.kind;
    this.element = h("div", { class: "typed", oninput: () => this.#showGuess() }, this.inner.element);
    this.#showGuess();
  }

  get content() {
    return { kind: this.isAutomatic ? "" : this.kind, content: this.inner.content };
  }

  /** @param {{kind: FreeKind | "", content: any}} entered */
  set content({ kind, content }) {
    this.isAutomatic = kind === "";
    if (kind && kind !== this.kind) this.#change(kind, undefined);
    this.select.value = kind;
    this.inner.content = content;
    this.#showGuess();
  }

  /** @param {boolean} [isPartial] */
  read(isPartial) {
    const value = this.inner.read(isPartial);
    if (this.#canBeLeftOut && (value ?? "") === "") return this.#value === null ? null : undefined;
    if (this.isAutomatic) return guess(value ?? "").value;
    if (value !== undefined) return value;
    const { empty, message } = INPUTS[/** @type {InputKind} */ (this.kind)];
    if (empty !== undefined) return empty;
    this.inner.showError("", message ?? "");
    return invalid(message);
  }

  /** @param {string} path @param {string} message */
  showError(path, message) {
    return this.inner.showError(path, message);
  }

  focus() {
    this.inner.focus();
  }

  /** @param {string} label @param {string} [id] */
  setLabel(label, id) {
    this.label = label;
    this.id = id;
    this.inner.setLabel(label, id);
  }

  #showGuess() {
    if (this.isAutomatic) this.guessed.textContent = `${INPUTS[guess(this.inner.content).kind].label} (automatic)`;
  }

  #choose() {
    const kind = /** @type {FreeKind | ""} */ (this.select.value);
    const value = this.#currentValue();
    this.isAutomatic = kind === "";
    this.#change(kind || "text", converted(value, kind || "text"));
    this.#showGuess();
  }

  /** Return the value, or what was typed if that is not valid. */
  #currentValue() {
    try {
      return this.isAutomatic ? this.inner.content : this.inner.read();
    } catch {
      return this.inner.content;
    }
  }

  /** @param {FreeKind} kind @param {any} value */
  #change(kind, value) {
    const { element } = this.inner;
    this.kind = kind;
    this.inner = freeControl(kind, value);
    this.inner.setLabel(this.label ?? "", this.id);
    element.replaceWith(this.inner.element);
  }
}

/** @param {FreeKind} kind @param {any} value @returns {FieldControl} */
function freeControl(kind, value) {
  if (kind !== "list") return new Input(kind, value);
  return new ListControl((text) => new Input("text", text), value, { isRequired: true });
}

/** A list: one control for each value. @implements {FieldControl} */
export class ListControl {
  #create;
  #value;
  #schema;
  #isRequired;
  /** @type {FieldControl[]} */
  #controls = [];
  /** The controls of the values that were read last. @type {FieldControl[]} */
  #read = [];
  #list = h("ul", { class: "values" });
  #add = button("Add", () => this.#append(undefined).focus(), { class: "text add" });

  /**
   * @param {(value: any) => FieldControl} create
   * @param {any} value undefined if there is none
   * @param {{schema?: Schema, isRequired: boolean}} options the schema is that of the list
   */
  constructor(create, value, { schema = {}, isRequired }) {
    this.#create = create;
    this.#value = value;
    this.#schema = schema;
    this.#isRequired = isRequired;
    this.element = h("div", { class: "list-control", role: "group" }, this.#list, this.#add);
    for (const one of value ?? []) this.#append(one);
  }

  get content() {
    return this.#controls.map((one) => one.content);
  }

  set content(contents) {
    this.#controls = [];
    this.#list.replaceChildren();
    contents.forEach((/** @type {any} */ content, /** @type {number} */ place) => {
      this.#append(this.#value?.[place]).content = content;
    });
  }

  /** Empty values are left out, and so is an optional list that was emptied. @param {boolean} [isPartial] */
  read(isPartial) {
    const read = this.#controls.map((control) => ({ control, value: control.read(isPartial) }));
    const kept = read.filter(({ value }) => value !== undefined);
    this.#read = kept.map(({ control }) => control);
    const values = kept.map(({ value }) => value);
    if (values.length === 0 && !this.#isRequired) return this.#value?.length ? undefined : this.#value;
    const problem = violation(values, this.#schema);
    return problem ? invalid(problem) : values;
  }

  /** @param {string} path @param {string} message @returns {boolean} */
  showError(path, message) {
    const [, place, rest] = path.match(/^\[(\d+)\](.*)$/s) ?? [];
    return place ? Boolean(this.#read[Number(place)]?.showError(rest, message)) : false;
  }

  focus() {
    (this.#controls[0] ?? this.#add).focus();
  }

  /** @param {string} label @param {string} [id] */
  setLabel(label, id) {
    this.label = label;
    labelElement(this.element, label, id);
    this.#add.setAttribute("aria-label", `Add to ${label}`);
    this.#number();
  }

  /** @param {any} value */
  #append(value) {
    const control = this.#create(value);
    const remove = button("×", () => this.#remove(control, item), { class: "quiet remove" });
    const item = h("li", {}, control.element, remove);
    this.#controls.push(control);
    this.#list.append(item);
    this.#number();
    return control;
  }

  /** @param {FieldControl} control @param {HTMLElement} item */
  #remove(control, item) {
    this.#controls = this.#controls.filter((one) => one !== control);
    announceRemoval(this.element);
    item.remove();
    this.#number();
    this.#add.focus();
  }

  #number() {
    [...this.#list.children].forEach((item, place) => {
      const label = `${this.label} ${place + 1}`;
      this.#controls[place].setLabel(label);
      $(".remove", item).setAttribute("aria-label", `Remove ${label}`);
    });
  }
}

/** An object inside an item. An optional one is added and removed as a whole. @implements {FieldControl} */
export class ObjectControl {
  #create;
  #value;
  #isRequired;
  /** @type {ObjectFields | null} */
  #fields = null;
  #add = button("", () => this.#open({}).focus(), { class: "text add" });
  #leaveOut = button("", () => this.#close(), { class: "text" });

  /**
   * @param {(fields: Fields) => ObjectFields} create
   * @param {any} value undefined if there is none
   * @param {boolean} isRequired
   */
  constructor(create, value, isRequired) {
    this.#create = create;
    this.#value = value;
    this.#isRequired = isRequired;
    this.element = h("div", { class: "object-control", role: "group" }, this.#add);
    if (isRequired || isObject(value)) this.#open(value ?? {});
  }

  get content() {
    return this.#fields?.content ?? null;
  }

  set content(content) {
    if (!content) this.#close();
    else (this.#fields ?? this.#open({})).content = content;
  }

  /** @param {boolean} [isPartial] */
  read(isPartial) {
    if (!this.#fields) return this.#value === null ? null : undefined;
    try {
      return this.#fields.read(isPartial);
    } catch {
      return invalid(""); // The rows show why.
    }
  }

  /** @param {string} path @param {string} message */
  showError(path, message) {
    return this.#fields?.showError(path, message) ?? false;
  }

  focus() {
    (this.#fields ?? this.#add).focus();
  }

  /** @param {string} label @param {string} [id] */
  setLabel(label, id) {
    labelElement(this.element, label, id);
    this.#add.textContent = `Add ${label}`;
    this.#leaveOut.textContent = `Remove ${label}`;
  }

  /** @param {Fields} fields */
  #open(fields) {
    const list = this.#create(fields);
    this.#fields = list;
    this.element.replaceChildren(...list.elements, ...(this.#isRequired ? [] : [this.#leaveOut]));
    return list;
  }

  #close() {
    if (this.#isRequired || !this.#fields) return;
    announceRemoval(this.element);
    this.#fields = null;
    this.element.replaceChildren(this.#add);
    this.#add.focus();
  }
}
