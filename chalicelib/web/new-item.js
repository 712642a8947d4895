// New items: what a form of one begins with, and what must be known to make one of a picture.

import { call, newIdempotencyKey } from "./api.js";
import { isEqual } from "./exact-json.js";
import { violation } from "./field-inputs.js";
import { ensureVisible, showCard } from "./gallery.js";
import { fieldLabel } from "./item-fields.js";
import { declaredNameField, isTextSchema, itemSchemas } from "./item-name.js";
import { SchemaReader } from "./json-schema.js";

/**
 * Return the fields that the form of a new item begins with: a title, if no fields are declared.
 * @param {Record<string, Schema>} [schemas]
 * @returns {Fields}
 */
export function newItemFields(schemas = itemSchemas) {
  const { isOpen, properties } = itemSchema(schemas);
  const isAnyObject = isOpen && Object.keys(properties).every((name) => name === "expiresAt");
  return isAnyObject ? { title: "" } : {};
}

/** @param {Record<string, Schema>} schemas */
function itemSchema(schemas) {
  const { properties = {}, required = [], additionalProperties } = schemas.ItemFields ?? {};
  return { properties, required: /** @type {string[]} */ (required), isOpen: additionalProperties !== false };
}

/**
 * Create an item, and show its card.
 * @param {Fields} fields
 * @param {{value: string}} key sent again with the same key, the same fields create one item
 * @returns {Promise<Item>}
 */
export async function createItem(fields, key) {
  const { data, etag } = await call("POST", "items", { body: fields, headers: { "Idempotency-Key": key.value } });
  showCard(data, etag);
  ensureVisible(data.id);
  return data;
}

/**
 * Return the key that fields were sent with before, or a new one.
 * @param {Fields} fields
 * @param {CreationKey} [last]
 * @returns {CreationKey}
 */
export const keyFor = (fields, last) =>
  (last && isEqual(last.fields, fields) ? last : { fields, value: newIdempotencyKey() });

// ------------------------------------------------------------------------------------------------------------ pictures

/**
 * Return how to make an item of each picture. It is named after its file, as far as the schema allows.
 * @param {string[]} files their names without extensions
 * @param {Record<string, Schema>} [schemas]
 * @returns {PicturesPlan}
 */
export function planPictures(files, schemas = itemSchemas) {
  const { properties, required } = itemSchema(schemas);
  const field = pictureNameField(schemas);
  const schema = new SchemaReader({ components: { schemas } }).resolve(properties[field] ?? { type: "string" });
  const names = files.map((name) => [...name].slice(0, schema.maxLength).join(""));
  const isValid = (/** @type {string} */ name) => violation(name, schema) === "";
  if (required.every((name) => name === field && names.every(isValid))) {
    return { field, items: names.map((name) => named({}, field, isValid(name) ? name : undefined)) };
  }
  const asked = Object.fromEntries(required.filter((name) => name !== field).map((name) => [name, properties[name]]));
  if (field) asked[field] = schemaOfNames(field, schema, files, required.includes(field));
  const typed = names.map((name, place) => ({ name: `${place}`, content: name }));
  return {
    field,
    schemas: { ...schemas, ItemFields: { type: "object", properties: asked, required, additionalProperties: false } },
    suggested: field ? [{ name: field, content: typed }] : [],
    itemsOf({ [field]: own, ...shared }) {
      return files.map((_, place) => named(shared, field, own?.[place]));
    },
  };
}

/** Return the field that a picture's item is named in, or "". @param {Record<string, Schema>} schemas */
function pictureNameField(schemas) {
  const { properties, required, isOpen } = itemSchema(schemas);
  const declared = required.find((name) => isTextSchema(properties[name])) ?? declaredNameField(schemas);
  return declared ?? (isOpen && !properties.title ? "title" : "");
}

/** @param {Fields} fields @param {string} field @param {string} [name] */
const named = (fields, field, name) => (field && name ? { ...fields, [field]: name } : fields);

/**
 * Return the schema of an object with a name for each file. `isCompact` is for the form: a file and its name in a line.
 * @param {string} field
 * @param {Schema} schema of one name
 * @param {string[]} files
 * @param {boolean} isRequired
 */
function schemaOfNames(field, { description, ...schema }, files, isRequired) {
  const properties = { ...files.map((title) => ({ ...schema, title })) };
  const required = isRequired ? Object.keys(properties) : [];
  const title = `${fieldLabel(field)} of each picture`;
  return { type: "object", title, description, properties, required, isCompact: true };
}
