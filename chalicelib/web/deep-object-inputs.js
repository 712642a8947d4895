// The inputs for a query parameter that is an object: rows with a field, an operator and a value.

import { button, h } from "./dom.js";

const EQUALS = "eq"; // the operator of `filter[price]=5`

/**
 * Return the inputs of a parameter such as `filter`, and a function that returns the query parameters in them.
 * @param {{name: string, schema: Schema}} parameter
 * @param {SchemaReader} schemas
 */
export function deepObjectInputs({ name, schema }, schemas) {
  const fields = schemas.resolve(schema).properties ?? {};
  const rows = h("div", { class: "filters" });
  /** @type {(() => [string, string][])[]} */
  const readers = [];
  const addRow = () => {
    const { element, values } = filterRow(name, fields, schemas);
    readers.push(values);
    rows.insertBefore(element, addButton);
  };
  const addButton = button(`Add a ${name}`, addRow, { class: "link" });
  rows.append(addButton);
  addRow();
  return { element: rows, values: () => readers.flatMap((read) => read()) };
}

/** @param {string} name @param {Record<string, Schema>} fields @param {SchemaReader} schemas */
function filterRow(name, fields, schemas) {
  const select = (/** @type {string} */ label) => h("select", { "aria-label": `${name}: ${label}` });
  const [field, operator] = [select("field"), select("operator")];
  const value = h("input", { "aria-label": `${name}: value`, spellcheck: false, autocomplete: "off" });
  field.replaceChildren(...["", ...Object.keys(fields)].map((one) => h("option", {}, one)));
  const listOperators = () =>
    operator.replaceChildren(...operatorsOf(fields[field.value], schemas).map((one) => h("option", {}, one)));
  field.addEventListener("change", listOperators);
  listOperators();
  /** @returns {[string, string][]} */
  const values = () => {
    if (!field.value) return [];
    const suffix = operator.value === EQUALS ? "" : `[${operator.value}]`;
    return [[`${name}[${field.value}]${suffix}`, value.value]];
  };
  return { element: h("div", { class: "filter" }, h("span", {}, name), field, operator, value), values };
}

/** Return the operators that a field has. @param {Schema | undefined} schema @param {SchemaReader} schemas */
export function operatorsOf(schema, schemas) {
  const { anyOf = [schema], ...resolved } = schemas.resolve(schema);
  const withOperators = [resolved, ...anyOf].find((one) => one?.properties);
  return Object.keys(withOperators?.properties ?? {});
}
