// Filters in words: the operators that a field has, and what a filter says.

import { isNumber, parseNumber, toJson } from "./exact-json.js";
import { fieldLabel, findableFields, itemSchemas } from "./field-metadata.js";
import { SchemaReader } from "./json-schema.js";
import { kindOf } from "./scalar-inputs.js";

/** In the order of the menu. @type {Record<FilterKind | "list", Record<string, string>>} */
const OPERATORS = {
  text: { eq: "is", prefix: "begins with", in: "is one of" },
  number: { eq: "is", gte: "is at least", lte: "is at most", gt: "is above", lt: "is below" },
  date: { eq: "is", gte: "is on or after", lte: "is on or before", gt: "is after", lt: "is before" },
  time: { gte: "is at or after", lte: "is at or before", gt: "is after", lt: "is before" },
  boolean: { eq: "is" },
  choice: { eq: "is", in: "is one of" },
  list: { has: "include" },
};

/** A field of several types takes text and numbers. */
const ANY = { ...OPERATORS.text, gte: OPERATORS.number.gte, lte: OPERATORS.number.lte };

/** @type {Record<string, string>} */
const ALL_OPERATORS = { ...OPERATORS.number, ...OPERATORS.text, ...OPERATORS.list };

/** A field that the API manages. It can always be filtered by. */
const CHANGED = { name: "updatedAt", label: "Changed", kind: "time", operators: OPERATORS.time, choices: [] };

/**
 * Return the fields that items can be filtered by.
 * @param {Record<string, Schema>} [schemas]
 * @returns {FilterField[]}
 */
export function filterFields(schemas = itemSchemas) {
  const reader = new SchemaReader({ components: { schemas } });
  const declared = findableFields(schemas).map(([name, schema]) => declaredField(reader, name, schema));
  return [...declared, /** @type {FilterField} */ (CHANGED)];
}

/** @param {SchemaReader} reader @param {string} name @param {Schema} declared @returns {FilterField} */
function declaredField(reader, name, declared) {
  const schema = reader.resolve(declared);
  const label = declared.title ?? fieldLabel(name);
  if (kindOf(schema) === "list") {
    return { ...declaredField(reader, name, { ...schema.items, title: label }), operators: OPERATORS.list };
  }
  const kind = filterKind(schema);
  const choices = (schema.enum ?? []).filter((/** @type {any} */ one) => one !== null);
  return { name, label, kind: kind ?? "text", operators: operatorsOf(kind, choices), choices };
}

/**
 * Return the kind of a value, or null if it may be of several types.
 * @param {Schema} schema
 * @returns {FilterKind | null}
 */
function filterKind(schema) {
  const kind = kindOf(schema);
  if (kind === "long") return "text";
  return kind in OPERATORS ? /** @type {FilterKind} */ (kind) : null;
}

/** @param {FilterKind | null} kind @param {any[]} choices @returns {Record<string, string>} */
function operatorsOf(kind, choices) {
  if (kind === null) return ANY;
  // The values of "is one of" are separated by commas.
  return choices.some((one) => asText(one).includes(",")) ? { eq: "is" } : OPERATORS[kind];
}

/** Return a value as it is in the URL. @param {any} value */
export const asText = (value) => (typeof value === "string" && !isNumber(value) ? value : toJson(value));

/** Return the value that a text of the URL stands for. @param {string} text @param {FilterField} field */
export function valueOf(text, { kind, choices }) {
  if (kind === "number") return parseNumber(text);
  if (kind === "boolean") return text === "true";
  return kind === "choice" ? choices.find((one) => asText(one) === text) : text;
}

/** Return the values of "is one of". @param {string} text */
export const valuesOf = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

/**
 * Return the value of a filter as it is in the URL, or "" if nothing was entered.
 * @param {any} value
 * @param {string} operator
 */
export function parameterOf(value, operator) {
  if (value === undefined) return "";
  return operator === "in" ? valuesOf(asText(value)).join(",") : asText(value);
}

const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const timeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/**
 * Return a filter in words, such as "Price is at least 100".
 * @param {Filter} filter
 * @param {FilterField[]} fields
 */
export function filterText({ field, operator, value }, fields) {
  const known = fields.find(({ name }) => name === field);
  const words = known?.operators[operator] ?? ALL_OPERATORS[operator];
  const kind = known?.kind ?? "text";
  const shown = operator === "in" ? valuesOf(value).map((one) => wordOf(one, kind)).join(" or ") : wordOf(value, kind);
  return `${known?.label ?? fieldLabel(field)} ${words} ${shown}`;
}

/** @param {string} text @param {FilterKind} kind */
function wordOf(text, kind) {
  if (kind === "boolean") return text === "true" ? "yes" : "no";
  if (kind === "text") return `“${text}”`;
  const at = new Date(text);
  if (!["date", "time"].includes(kind) || Number.isNaN(at.getTime())) return text;
  return kind === "date" ? dateFormat.format(at) : timeFormat.format(at);
}
