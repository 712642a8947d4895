// The fields of items: their names, their labels, and which of them names the item.

import { isNumber, toJson } from "./exact-json.js";

/**
 * The schemas of the OpenAPI document that describe an item's own fields, by name. They are in the page, because cards
 * need them. Without them, an item is any object.
 * @type {Record<string, Schema>}
 */
export const itemSchemas = parsed(document.querySelector('meta[name="item-schemas"]')?.getAttribute("content"));

/** @param {string | null} [content] */
function parsed(content) {
  try {
    return JSON.parse(decodeURIComponent(content || "{}"));
  } catch {
    return {};
  }
}

// ---------------------------------------------------------------------------------------------------------------- name

/** Used if no declared text has a value. */
const USUAL_NAMES = ["title", "name", "label"];

/**
 * Return the first declared field that holds text, or undefined. Texts of a format, such as dates, are no names.
 * @param {Record<string, Schema>} [schemas]
 * @returns {string | undefined}
 */
export function declaredNameField(schemas = itemSchemas) {
  const fields = Object.entries(schemas.ItemFields?.properties ?? {});
  return fields.find(([, schema]) => isTextSchema(schema))?.[0];
}

/** Return whether a schema describes a text without a format or fixed choices. @param {Schema} schema */
export function isTextSchema(schema) {
  const { type, format, enum: choices } =
    schema.anyOf?.find((/** @type {Schema} */ one) => one.type !== "null") ?? schema;
  return [type].flat().includes("string") && !format && !choices;
}

/** @param {any} value */
export const isText = (value) => typeof value === "string" && value.trim() !== "" && !isNumber(value);

/**
 * Return the field that names an item, or undefined.
 * @param {Item} item
 * @param {Record<string, Schema>} [schemas]
 * @returns {string | undefined}
 */
export function nameField(item, schemas = itemSchemas) {
  return [declaredNameField(schemas) ?? "", ...USUAL_NAMES].find((field) => isText(item[field]));
}

/**
 * Return an item's name, or its id if no field names it.
 * @param {Item} item
 * @param {Record<string, Schema>} [schemas]
 * @returns {string}
 */
export const nameOf = (item, schemas = itemSchemas) => item[nameField(item, schemas) ?? "id"];

export const EXPIRES_AT = "expiresAt";
export const VISIBILITY = "visibility";
/** What the caller sets besides own fields. */
export const SETTINGS = [EXPIRES_AT, VISIBILITY];
/** The fields that the API sets. */
export const MANAGED = ["id", "version", "createdAt", "updatedAt", "image"];
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/**
 * Return whether a value is a time in ISO 8601 with a zone.
 * @param {any} value
 */
export function isTimestamp(value) {
  return typeof value === "string" && TIMESTAMP.test(value) && !Number.isNaN(Date.parse(value));
}

/**
 * Return the fields that the caller may change.
 * @param {Item} item
 * @returns {Fields}
 */
export const ownFields = (item) => Object.fromEntries(Object.entries(item).filter(([name]) => !MANAGED.includes(name)));

/**
 * Return the own fields besides the name.
 * @param {Item} item
 * @returns {[string, any][]}
 */
export function listedFields(item) {
  return Object.entries(ownFields(item)).filter(([name]) => name !== nameField(item) && !SETTINGS.includes(name));
}

/**
 * Return "Pixels per inch" for `pixelsPerInch`, `pixels_per_inch` or `pixels-per-inch`.
 * @param {string} name
 */
export function fieldLabel(name) {
  const words = name.replace(/[_-]+/g, " ").trim()
    .replace(/([a-z\d])([A-Z])(?=[a-z])/g, (_, end, start) => `${end} ${start.toLowerCase()}`)
    .replace(/([a-z\d])([A-Z])/g, "$1 $2");
  return words ? words[0].toUpperCase() + words.slice(1) : name;
}

/**
 * Return an item's first three values in a line.
 * @param {Item} item
 */
export function summaryOf(item) {
  const values = listedFields(item).map(([name, value]) => summaryOfField(name, value));
  return values.filter(Boolean).slice(0, 3).join(" · ");
}

/** @param {string} name @param {any} value */
function summaryOfField(name, value) {
  if (value === true) return fieldLabel(name);
  if (isNumber(value)) return `${fieldLabel(name)} ${toJson(value)}`;
  if (Array.isArray(value) && value.every(isText)) return value.join(", ");
  return isText(value) && !isTimestamp(value) ? value : "";
}

/** Return whether the words of some declared field are searched. @param {Record<string, Schema>} [schemas] */
export const isSearchable = (schemas = itemSchemas) =>
  Object.values(schemas.ItemFields?.properties ?? {}).some((schema) => hasMark(schema, "x-searchable"));

/**
 * Return the declared fields that items can be filtered by, with their schemas.
 * @param {Record<string, Schema>} [schemas]
 */
export const findableFields = (schemas = itemSchemas) =>
  Object.entries(schemas.ItemFields?.properties ?? {}).filter(([, schema]) => hasMark(schema, "x-findable"));

/**
 * Return the declared fields that items can be sorted by, with their schemas.
 * @param {Record<string, Schema>} [schemas]
 */
export const sortableFields = (schemas = itemSchemas) =>
  findableFields(schemas).filter(([, schema]) => !typesOf(schema).includes("array"));

/**
 * Return in words what visitors see of a public item.
 * @param {Record<string, Schema>} [schemas]
 */
export function fieldsForVisitors({ ItemFields: { properties = {}, ...rest } = {} } = itemSchemas) {
  const declared = Object.entries(properties).filter(([, schema]) => hasMark(schema, "x-public"));
  const others = rest["x-others-public"] ? ["all fields that are not declared"] : [];
  const seen = ["the picture", ...declared.map(([name]) => fieldLabel(name)), ...others];
  return `Visitors see ${new Intl.ListFormat("en").format(seen)}.`;
}

/** @param {Schema} schema @param {string} mark */
const hasMark = (schema, mark) => [schema, ...(schema.anyOf ?? [])].some((one) => one[mark]);

/** Return the types that a schema allows. @param {Schema} schema @returns {string[]} */
export const typesOf = (schema) => [schema, ...(schema.anyOf ?? [])].flatMap(({ type }) => type ?? []);

/**
 * Return the names of the fields that items can have: first the declared ones, then those of the items, the most
 * frequent ones first; without the field that names items.
 * @param {Item[]} items
 * @param {Record<string, Schema>} [schemas]
 */
export function fieldNames(items, schemas = itemSchemas) {
  const declared = Object.keys(schemas.ItemFields?.properties ?? {});
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const [name] of items.flatMap(listedFields)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const others = [...counts.keys()].sort((one, other) => (counts.get(other) ?? 0) - (counts.get(one) ?? 0));
  const excluded = [declaredNameField(schemas), ...SETTINGS];
  return [...new Set([...declared, ...others])].filter((name) => !excluded.includes(name));
}
