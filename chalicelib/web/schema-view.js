// JSON Schemas of the OpenAPI document, shown to people.

import { h } from "./dom.js";
import { SchemaReader, isNotNull, limitsOf } from "./json-schema.js";
import { renderInline } from "./markdown.js";

const MAX_DEPTH = 4; // of nested properties

/** Shows the schemas of one OpenAPI document. */
export class SchemaView extends SchemaReader {
  /**
   * Return a schema's type and limits in a line.
   * @param {Schema} schema
   * @returns {string}
   */
  describe(schema) {
    const resolved = this.resolve(schema);
    const orNull = schema.anyOf?.some((/** @type {Schema} */ one) => one.type === "null") ? " or null" : "";
    if (resolved.type === "array") return `list of ${this.describe(resolved.items)}${orNull}`;
    return [this.#typeOf(resolved) + orNull, ...limitsOf(resolved)].join(", ");
  }

  /** @param {Schema} schema resolved @returns {string} */
  #typeOf(schema) {
    if (schema.enum) return schema.enum.map((/** @type {any} */ one) => JSON.stringify(one)).join(" | ");
    if ("const" in schema) return JSON.stringify(schema.const);
    if (schema.format === "date-time") return "time (ISO 8601)";
    const names = alternativesOf(schema)?.map((one) => this.#nameOf(this.resolve(one)));
    if (names) return `one of ${names.join(", ")}`;
    if (schema.type === "object" && schema.title) return schema.title;
    const type = [schema.type ?? "any value"].flat().join(" ");
    return schema.format ? `${type} (${schema.format})` : type;
  }

  /** @param {Schema} schema resolved @returns {string} */
  #nameOf(schema) {
    return schema.title ?? this.#typeOf(schema);
  }

  /**
   * Return a list of a schema's properties, or of its alternatives, or null if it has neither.
   * @param {Schema} schema
   * @param {number} [depth]
   * @returns {HTMLElement | null}
   */
  propertyList(schema, depth = 0) {
    const resolved = this.resolve(schema);
    if (resolved.type === "array") return this.propertyList(resolved.items, depth);
    const alternatives = alternativesOf(resolved);
    if (alternatives && depth < MAX_DEPTH) return this.#alternativeList(alternatives, depth);
    const isOpen = depth === 0 && allowsOthers(resolved);
    const isEmpty = Object.keys(resolved.properties ?? {}).length === 0;
    if (isEmpty) return isOpen ? h("p", { class: "note" }, "A JSON object with any fields.") : null;
    return h("ul", { class: "schema" }, this.#properties(resolved, depth),
      isOpen && h("li", {}, h("em", {}, "and fields of your own")));
  }

  /** @param {Schema} schema resolved @param {number} depth */
  #properties({ properties, required = [] }, depth) {
    const entries = Object.entries(properties);
    return entries.map(([name, schema]) => this.#property(name, schema, required.includes(name), depth));
  }

  /** @param {Schema[]} alternatives @param {number} depth */
  #alternativeList(alternatives, depth) {
    const entries = alternatives.map((one) => {
      const { title, description = "" } = this.resolve(one);
      return h("li", {}, h("code", {}, title), " ", renderInline(description), this.propertyList(one, depth + 1));
    });
    return h("ul", { class: "schema" }, entries);
  }

  /** @param {string} name @param {Schema} schema @param {boolean} isRequired @param {number} depth */
  #property(name, schema, isRequired, depth) {
    const { description } = this.resolve(schema);
    return h("li", {},
      h("code", {}, name), " ", h("span", { class: "type" }, this.describe(schema)),
      isRequired && h("span", { class: "required" }, "required"),
      description && h("p", { class: "note" }, renderInline(description)),
      depth < MAX_DEPTH && this.propertyList(schema, depth + 1));
  }
}

/** @param {Schema} schema */
const allowsOthers = (schema) => schema.type === "object" && schema.additionalProperties !== false;

/** Return a schema's alternatives, if several are not null. @param {Schema} schema @returns {Schema[] | undefined} */
function alternativesOf(schema) {
  return [schema.oneOf, schema.anyOf].find((all) => all?.filter(isNotNull).length > 1);
}
