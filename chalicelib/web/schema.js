// JSON Schemas of the OpenAPI document, for people to read.

import { h } from "./dom.js";
import { inline } from "./markdown.js";

/** A reader of the schemas in `api`: `words(schema)` in a line, `properties(schema)` as a list. */
export function reader(api) {
  /** A schema with its reference followed, its parts put together, and "or null" taken off. */
  function resolved(schema = {}) {
    const { $ref, allOf, anyOf, ...beside } = schema;
    if ($ref) return narrowed(resolved(pointed($ref)), beside);
    if (allOf) return allOf.map(resolved).reduce(joined, { ...beside, type: "object" });
    const some = anyOf?.filter((one) => one.type !== "null");
    return some?.length === 1 ? { ...resolved(some[0]), ...beside } : schema;
  }

  const pointed = (ref) => ref.slice(2).split("/").reduce((part, name) => part[name.replaceAll("~1", "/")], api);

  /** A schema as what stands beside a reference to it says: of some fields perhaps more, of the others nothing. */
  const narrowed = (one, beside) => ({ ...one, ...beside, ...(beside.properties && { properties: { ...one.properties, ...beside.properties } }) });

  const joined = (one, other) => ({
    ...one, properties: { ...one.properties, ...other.properties }, required: [...(one.required ?? []), ...(other.required ?? [])],
    additionalProperties: one.additionalProperties ?? other.additionalProperties,
  });

  const choices = (schema) => [schema.oneOf, schema.anyOf].find((some) => some?.filter((one) => one.type !== "null").length > 1);

  function words(schema) {
    const known = resolved(schema);
    const or = schema.anyOf?.some((one) => one.type === "null") ? " or null" : "";
    if (known.type === "array") return `list of ${words(known.items)}${or}`;
    return [kindOf(known) + or, ...limitsOf(known)].join(", ");
  }

  function kindOf(known) {
    if (known.enum) return known.enum.map((one) => JSON.stringify(one)).join(" | ");
    if ("const" in known) return JSON.stringify(known.const);
    if (known.format === "date-time") return "time (ISO 8601)";
    const some = choices(known);
    if (some) return `one of ${some.map((one) => resolved(one).title ?? kindOf(resolved(one))).join(", ")}`;
    return known.type === "object" && known.title ? known.title : [known.type ?? "any value", known.format && `(${known.format})`].flat().filter(Boolean).join(" ");
  }

  function properties(schema, depth = 0) {
    const known = resolved(schema);
    if (known.type === "array") return properties(known.items, depth);
    const some = choices(known);
    if (some && depth < 4) return h("ul", { class: "schema" }, some.map((one) => h("li", {}, h("code", {}, resolved(one).title), " ", inline(resolved(one).description ?? ""), properties(one, depth + 1))));
    const entries = Object.entries(known.properties ?? {});
    const free = known.type === "object" && known.additionalProperties !== false;
    if (entries.length === 0) return depth === 0 && free ? h("p", { class: "note" }, "A JSON object with any fields.") : null;
    return h("ul", { class: "schema" },
      entries.map(([name, inner]) => property(name, inner, (known.required ?? []).includes(name), depth)),
      depth === 0 && free && h("li", {}, h("em", {}, "and fields of your own")));
  }

  function property(name, inner, required, depth) {
    const described = resolved(inner).description;
    return h("li", {},
      h("code", {}, name), " ", h("span", { class: "type" }, words(inner)), required && h("span", { class: "required" }, "always"),
      described && h("p", { class: "note" }, inline(described)), depth < 4 && properties(inner, depth + 1));
  }

  return { resolved, words, properties, pointed };
}

function limitsOf(known) {
  return [
    known.minimum !== undefined && known.type !== "string" && `from ${known.minimum.toLocaleString()}`,
    known.maximum !== undefined && `to ${known.maximum.toLocaleString()}`,
    known.maxLength !== undefined && `up to ${known.maxLength} characters`,
    known.maxItems !== undefined && `up to ${known.maxItems.toLocaleString()}`,
    known.default !== undefined && known.default !== null && `${JSON.stringify(known.default)} by default`,
  ].filter(Boolean);
}
