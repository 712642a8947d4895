// JSON Schemas of the OpenAPI document: references, alternatives and limits.

/** Reads the schemas of one OpenAPI document. */
export class SchemaReader {
  #document;

  /** @param {any} document */
  constructor(document) {
    this.#document = document;
  }

  /**
   * Return a schema with its reference followed, its parts merged, and without "or null".
   * @param {Schema} [schema]
   * @returns {Schema}
   */
  resolve(schema = {}) {
    const { $ref, allOf, anyOf, ...siblings } = schema;
    if ($ref) return narrow(this.resolve(this.#target($ref)), siblings);
    const parts = allOf?.map((/** @type {Schema} */ part) => this.resolve(part));
    if (parts) return parts.reduce(merge, { ...siblings, type: "object" });
    const others = anyOf?.filter(isNotNull);
    return others?.length === 1 ? { ...this.resolve(others[0]), ...siblings } : schema;
  }

  /** Return what a reference such as "#/components/schemas/Item" points to. @param {string} ref */
  #target(ref) {
    return ref.slice(2).split("/").reduce((part, name) => part[name.replaceAll("~1", "/")], this.#document);
  }
}

/** @param {Schema} schema */
export const isNotNull = (schema) => schema.type !== "null";

/** Apply the keywords beside a reference to what that refers to. @param {Schema} schema @param {Schema} siblings */
function narrow(schema, siblings) {
  const properties = siblings.properties && { properties: { ...schema.properties, ...siblings.properties } };
  return { ...schema, ...siblings, ...properties };
}

/** Return what an object must be to match two schemas. @param {Schema} one @param {Schema} other */
function merge(one, other) {
  return {
    ...one,
    properties: { ...one.properties, ...other.properties },
    required: [...(one.required ?? []), ...(other.required ?? [])],
    additionalProperties: one.additionalProperties ?? other.additionalProperties,
  };
}

/** @param {Schema} schema resolved @returns {string[]} */
export function limitsOf(schema) {
  const { maxItems, minItems, pattern, default: usual } = schema;
  return [
    ...(schema.type === "string" ? [] : boundsOf(schema)),
    lengthOf(schema),
    pattern !== undefined && `matches ${pattern}`,
    minItems && `at least ${minItems.toLocaleString()}`,
    maxItems !== undefined && `up to ${maxItems.toLocaleString()}`,
    (usual ?? null) !== null && `${JSON.stringify(usual)} by default`,
  ].filter((limit) => typeof limit === "string" && limit);
}

/** @param {Schema} schema */
function lengthOf({ minLength = 0, maxLength }) {
  if (maxLength === undefined) return minLength > 1 && `at least ${minLength} characters`;
  return minLength > 1 ? `${minLength} to ${maxLength} characters` : `up to ${maxLength} characters`;
}

/** @param {Schema} schema */
function boundsOf({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf }) {
  const range = [
    minimum !== undefined && `from ${minimum.toLocaleString()}`,
    maximum !== undefined && `${minimum === undefined ? "up to" : "to"} ${maximum.toLocaleString()}`,
  ];
  return [
    range.filter(Boolean).join(" "),
    exclusiveMinimum !== undefined && `more than ${exclusiveMinimum.toLocaleString()}`,
    exclusiveMaximum !== undefined && `less than ${exclusiveMaximum.toLocaleString()}`,
    multipleOf !== undefined && `a multiple of ${multipleOf.toLocaleString()}`,
  ];
}
