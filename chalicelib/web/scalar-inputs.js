// The inputs for single values: which one fits a schema or a value, and how it shows and reads a value.

import { h } from "./dom.js";
import { isEqual, isNumber, parseJson, parseNumber, toJson } from "./exact-json.js";
import { isTimestamp } from "./field-metadata.js";

/** What was typed is no valid value. Its field shows the message. */
export class InvalidInput extends SyntaxError {}

/** A text that may have more characters than this gets several lines. */
const ONE_LINE = 200;

/** Input types of the formats of texts. @type {Record<string, string>} */
const INPUT_TYPES = { email: "email", uri: "url", "iri": "url", "uri-reference": "text" };

/** @type {Record<string, string>} */
const FORMAT_MESSAGES = {
  email: "Enter an email address, such as name@example.com.",
  url: "Enter a whole address, which begins with https://.",
};

/** @param {any} value */
const isString = (value) => typeof value === "string" && !isNumber(value);

/** @param {any} value */
export const isDate = (value) =>
  isString(value) && /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value));

/** @param {any} value */
const isLong = (value) => isString(value) && (value.length > ONE_LINE || /[\r\n]/.test(value));

// --------------------------------------------------------------------------------------------------------------- kinds

/** A value without a schema has the first kind that fits. @type {Record<InputKind, InputType>} */
export const INPUTS = {
  date: {
    label: "Date",
    fits: isDate,
    create: () => h("input", { type: "date", max: "9999-12-31" }),
    parse: (text) => text,
    message: "Enter a date.",
  },
  time: {
    label: "Date and time",
    fits: isTimestamp,
    create: (_, value) => h("input", { type: "datetime-local", step: hasSeconds(value) ? 1 : 60 }),
    show: localTime,
    parse: (text) => new Date(text).toISOString(),
    message: "Choose a date and a time.",
  },
  text: {
    label: "Text",
    fits: (value) => isString(value) && !isLong(value),
    create: (schema) => h("input", { type: INPUT_TYPES[schema.format] ?? "text", placeholder: exampleIn(schema) }),
    parse: (text, _, input) => (input.validity?.typeMismatch ? invalid(FORMAT_MESSAGES[input.type]) : text),
    empty: "",
  },
  long: {
    label: "Long text",
    fits: isString,
    create: (schema) => h("textarea", { rows: 3, placeholder: exampleIn(schema) }),
    parse: (text) => text,
    empty: "",
  },
  number: {
    label: "Number",
    fits: isNumber,
    create: (schema) => h("input", { inputMode: "decimal", autocomplete: "off", placeholder: exampleIn(schema) }),
    show: (value) => (isNumber(value) ? toJson(value) : value),
    parse: (text, schema) => numberIn(text, schema) ?? invalid(INPUTS.number.message),
    message: "Enter a number, such as 12.5.",
  },
  boolean: {
    label: "Yes or no",
    fits: (value) => typeof value === "boolean",
    create: () => h("input", { type: "checkbox", role: "switch" }),
    parse: (checked) => checked,
  },
  choice: {
    label: "Choice",
    fits: () => false, // Only a schema has choices.
    create: (schema) => h("select", {}, h("option", { value: "" }, "–"),
      schema.enum.filter((/** @type {any} */ one) => one !== null)
        .map((/** @type {any} */ one) => h("option", { value: toJson(one) }, choiceLabel(one)))),
    show: (value) => toJson(value),
    parse: (text) => parseJson(text),
    message: "Choose one.",
  },
  json: {
    label: "JSON",
    fits: () => true,
    create: () => h("textarea", { rows: 2, class: "code", spellcheck: false }),
    show: (value) => toJson(value, 2),
    parse: parseJsonInput,
    message: "Enter JSON, such as [1, 2].",
  },
};

/** @param {any} value */
const choiceLabel = (value) => {
  if (typeof value === "boolean") return value ? "Yes" : "No";
  return isString(value) ? value : toJson(value);
};

/** @param {string} [message] @returns {never} */
export function invalid(message = "This is not valid.") {
  throw new InvalidInput(message);
}

/** @param {Schema} schema */
function exampleIn({ examples = [] }) {
  const [example] = examples;
  return example === undefined || typeof example === "object" ? null : `Such as ${example}`;
}

/**
 * Return the number in a text, or undefined. A decimal that only a text may hold stays text.
 * @param {string} text
 * @param {Schema} schema
 */
function numberIn(text, { type }) {
  const number = parseNumber(text);
  return number !== undefined && type === "string" ? text.trim() : number;
}

/** @param {string} text */
function parseJsonInput(text) {
  try {
    return parseJson(text);
  } catch (error) {
    return invalid(`This is not valid JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {any} value */
const hasSeconds = (value) => isTimestamp(value) && new Date(value).getSeconds() > 0;

/** Return a time in the user's zone, to the second. @param {any} value */
function localTime(value) {
  const at = new Date(value);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, hasSeconds(value) ? 19 : 16);
}

/**
 * Return the kind of input for a value that a schema describes, without looking at a value.
 * @param {Schema} schema resolved
 * @returns {InputKind | "list" | "object" | "any"}
 */
export function kindOf(schema) {
  if (schema.enum) return "choice";
  if (schema.format === "decimal") return "number";
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  const [type, ...others] = types;
  if (others.length > 0 || !type) return "any";
  if (type === "string") return textKind(schema);
  if (type === "array") return schema.items ? "list" : "json";
  return /** @type {any} */ ({ integer: "number" })[type] ?? type;
}

/** @param {Schema} schema @returns {InputKind} */
function textKind({ format, maxLength, "x-searchable": isSearchable, "x-findable": isFindable }) {
  if (format === "date") return "date";
  if (format === "date-time") return "time";
  const isProse = isSearchable && !isFindable && !format; // Its words are searched, but nobody sorts by it.
  return (maxLength ?? (isProse ? Infinity : 0)) > ONE_LINE ? "long" : "text";
}

/** @param {any} value @returns {InputKind} */
export const kindOfValue = (value) =>
  /** @type {InputKind} */ (Object.keys(INPUTS).find((kind) => INPUTS[/** @type {InputKind} */ (kind)].fits(value)));

/**
 * Return what a text of an undeclared field most likely means.
 * @param {string} text
 * @returns {{kind: FreeKind & InputKind, value: any}}
 */
export function guess(text) {
  const trimmed = text.trim();
  const number = parseNumber(trimmed);
  if (number !== undefined) return { kind: "number", value: number };
  if (["true", "false"].includes(trimmed)) return { kind: "boolean", value: trimmed === "true" };
  if (isDate(trimmed)) return { kind: "date", value: trimmed };
  if (isTimestamp(trimmed)) return { kind: "time", value: trimmed };
  if (/^[[{]/.test(trimmed)) {
    try {
      return { kind: "json", value: parseJson(trimmed) };
    } catch {
      // It is text that begins with a bracket.
    }
  }
  return { kind: isLong(text) ? "long" : "text", value: text };
}

// --------------------------------------------------------------------------------------------------------------- rules

/**
 * Return what a value violates of its schema, as a sentence, or "". The API checks everything again.
 * @param {any} value
 * @param {Schema} schema resolved
 */
export function violation(value, schema) {
  if (isNumber(value)) return numberViolation(Number(toJson(value)), schema);
  if (typeof value === "string") return textViolation(value, schema);
  return Array.isArray(value) ? listViolation(value, schema) : "";
}

/** @param {number} value @param {Schema} schema */
function numberViolation(value, { type, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }) {
  if (type === "integer" && !Number.isInteger(value)) return "Enter a whole number.";
  if (value < minimum) return `Enter ${minimum} or more.`;
  if (value > maximum) return `Enter ${maximum} or less.`;
  if (value <= exclusiveMinimum) return `Enter more than ${exclusiveMinimum}.`;
  if (value >= exclusiveMaximum) return `Enter less than ${exclusiveMaximum}.`;
  const isMultiple = !multipleOf || Number.isInteger(Number((value / multipleOf).toPrecision(12)));
  return isMultiple ? "" : `Enter a multiple of ${multipleOf}.`;
}

/** Count characters as the API does, by code points. @param {string} value @param {Schema} schema */
function textViolation(value, { minLength = 0, maxLength = Infinity, pattern }) {
  const { length } = [...value];
  if (length < minLength) return `Enter at least ${minLength} characters.`;
  if (length > maxLength) return `Enter at most ${maxLength} characters; these are ${length}.`;
  return matches(value, pattern) ? "" : `Enter text that matches ${pattern}.`;
}

/** @param {string} value @param {string} [pattern] */
function matches(value, pattern) {
  try {
    return !pattern || new RegExp(pattern, "u").test(value);
  } catch {
    return true; // Python's syntax differs in places: the API decides.
  }
}

/** @param {any[]} value @param {Schema} schema */
function listViolation(value, { minItems = 0, maxItems = Infinity, uniqueItems }) {
  if (value.length < minItems) return `Enter at least ${minItems}.`;
  if (value.length > maxItems) return `Enter at most ${maxItems}.`;
  const isRepeated = uniqueItems && value.some((one, place) => value.findIndex((other) => isEqual(one, other)) < place);
  return isRepeated ? "Enter each value once." : "";
}

// --------------------------------------------------------------------------------------------------------------- input

/**
 * Name an element. The elements with the id and "-help" or "-error" describe it.
 * @param {HTMLElement} element
 * @param {string} label
 * @param {string} [id]
 */
export function labelElement(element, label, id) {
  element.setAttribute("aria-label", label);
  if (id) element.setAttribute("aria-describedby", `${id}-help ${id}-error`);
}

/** An input with the value that it began with. @implements {FieldControl} */
export class Input {
  #value;
  #shown;

  /** @param {InputKind} kind @param {any} value undefined if there is none @param {Schema} [schema] resolved */
  constructor(kind, value, schema = {}) {
    this.kind = kind;
    this.schema = schema;
    this.#value = value;
    this.element = /** @type {any} */ (this.type.create(schema, value));
    if (value !== undefined && value !== null) this.content = this.type.show?.(value) ?? value;
    this.#shown = this.content;
    if (kind === "text" && !schema.format) this.#offerLines();
  }

  get type() {
    return INPUTS[this.kind];
  }

  /** What the input shows: what is kept in drafts. @returns {any} */
  get content() {
    return this.kind === "boolean" ? this.element.checked : this.element.value;
  }

  set content(content) {
    if (this.kind === "text" && isLong(content)) this.#becomeLong(content);
    else this.element[this.kind === "boolean" ? "checked" : "value"] = content;
  }

  /** Whether it shows what it began with: then `read` returns that, because an input may not show it exactly. */
  get isUnchanged() {
    return this.content === this.#shown;
  }

  /** Return the value, or undefined if nothing is entered. Throw InvalidInput, and mark the input. */
  read() {
    this.showError("", "");
    try {
      return this.#parsed();
    } catch (error) {
      this.showError("", /** @type {Error} */ (error).message);
      throw error;
    }
  }

  #parsed() {
    if (this.element.validity?.badInput) return invalid(this.type.message);
    if (this.isUnchanged) return this.#value;
    if (this.content === "") return undefined;
    const value = this.type.parse(this.content, this.schema, this.element);
    const problem = violation(value, this.schema);
    return problem ? invalid(problem) : value;
  }

  /**
   * Mark the input as wrong, or with "" as right. Return false: its field shows the message.
   * @param {string} _path
   * @param {string} message
   */
  showError(_path, message) {
    this.element.setCustomValidity(message);
    if (message) this.element.setAttribute("aria-invalid", "true");
    else this.element.removeAttribute("aria-invalid");
    return false;
  }

  focus() {
    this.element.focus();
  }

  /** @param {string} label @param {string} [id] */
  setLabel(label, id) {
    if (id) this.element.id = id;
    labelElement(this.element, label, id);
  }

  /** One line cannot hold line breaks. They come by pasting, or by Shift and Enter. */
  #offerLines() {
    const insert = (/** @type {Event} */ event, /** @type {string} */ text) => {
      if (this.kind !== "text" || !/[\r\n]/.test(text)) return;
      event.preventDefault();
      const { value, selectionStart: start, selectionEnd: end } = this.element;
      this.#becomeLong(value.slice(0, start) + text + value.slice(end));
      this.element.setSelectionRange(start + text.length, start + text.length);
      this.element.focus();
      this.element.dispatchEvent(new Event("input", { bubbles: true }));
    };
    this.element.addEventListener("paste", (/** @type {ClipboardEvent} */ event) =>
      insert(event, event.clipboardData?.getData("text/plain") ?? ""));
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) =>
      insert(event, event.key === "Enter" && event.shiftKey ? "\n" : ""));
  }

  /** @param {string} text */
  #becomeLong(text) {
    const area = /** @type {HTMLTextAreaElement} */ (INPUTS.long.create(this.schema));
    for (const { name, value } of this.element.attributes) if (name !== "type") area.setAttribute(name, value);
    this.element.replaceWith(area);
    this.element = area;
    this.kind = "long";
    area.value = text;
  }
}
