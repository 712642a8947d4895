// Which field of an item is its name, by the fields that the API declares for items (the class ItemFields).

import { isNumber } from "./exact-json.js";

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
