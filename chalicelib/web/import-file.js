// Files to import: their entries as the API reads them, and what is wrong with entries.

import { Problem } from "./api.js";
import { csvValue, parseCsv } from "./csv.js";
import { formatBytes } from "./dom.js";
import { isEqual, isNumber, isObject, parseJson, parseNumber, toJson } from "./exact-json.js";
import { MANAGED, itemSchemas } from "./field-metadata.js";
import { SchemaReader } from "./json-schema.js";
import { isDate, kindOf, violation } from "./scalar-inputs.js";

/** The limits of `POST /imports`. */
const MAX_BYTES = 5 * 1024 * 1024;
const MAX_ENTRIES = 10_000;

/** @param {string} name */
export const extensionOf = (name) => name.split(".").pop()?.toLowerCase() ?? "";

/**
 * Return what to send of a file, and its entries. Throw Problem if it is too large, is not valid or has no items.
 * @param {File} file
 * @param {Record<string, Schema>} [schemas]
 * @returns {Promise<ImportContent>}
 */
export async function readImport(file, schemas = itemSchemas) {
  if (file.size > MAX_BYTES) throw tooLarge(formatBytes(MAX_BYTES), formatBytes(file.size));
  const text = await file.text(); // Without a byte order mark.
  const isCsv = ["csv", "tsv"].includes(extensionOf(file.name));
  const content = isCsv ? csvImport(text, schemas) : jsonImport(text) ?? linesImport(text, file.name);
  const size = new Blob([content.body]).size;
  if (size > MAX_BYTES) throw tooLarge(formatBytes(MAX_BYTES), formatBytes(size));
  const { length } = content.entries;
  if (length > MAX_ENTRIES) throw tooLarge(`${MAX_ENTRIES.toLocaleString()} items`, length.toLocaleString());
  if (length === 0) throw new Problem({ message: "This file contains no items." });
  return content;
}

/** @param {string} most @param {string} found */
const tooLarge = (most, found) =>
  new Problem({ status: 413, message: `An import may have at most ${most}: split it. This one has ${found}.` });

/** @param {string} text @param {Record<string, Schema>} schemas @returns {ImportContent} */
function csvImport(text, schemas) {
  const { columns, rows } = parseCsv(text);
  const reader = new SchemaReader({ components: { schemas } });
  const declared = schemas.ItemFields?.properties ?? {};
  const entries = rows.map(({ cells }) => Object.fromEntries(columns.flatMap((name, index) =>
    (cells[index] ? [[name, csvValue(cells[index], declared[name], reader)]] : []))));
  return { body: text, type: "text/csv", lines: rows.map(({ line }) => line), columns, entries };
}

/**
 * Read an array, an object with `items` or a single item. Return null if it is not JSON.
 * @param {string} text
 * @returns {ImportContent | null}
 */
function jsonImport(text) {
  const value = valueOf(text);
  if (value === undefined) return null;
  if (value === null || typeof value !== "object") {
    throw new Problem({ message: "This file contains no items, only a single value." });
  }
  // The text is wrapped and not written anew: its numbers stay exact.
  const body = Array.isArray(value.items) ? text : `{"items":${Array.isArray(value) ? text : `[${text}]`}}`;
  /** @type {any[]} */
  const entries = [value, value.items].find(Array.isArray) ?? [value];
  return { body, type: "application/json", lines: null, columns: columnsIn(entries), entries };
}

/** Read lines with an item each. @param {string} text @param {string} name @returns {ImportContent} */
function linesImport(text, name) {
  // As the API does, which ignores blank lines and does not count them.
  const lines = text.split(/\r\n|\n|\r/).map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => /[^ \t\v\f]/.test(line));
  const entries = lines.map(({ line }) => valueOf(line.replace(/^\uFEFF/, "")));
  // A .json file may hold lines. If they are not all objects, it is JSON with a syntax error.
  if (extensionOf(name) === "json" && !entries.every(isObject)) throw syntaxProblem(text);
  const numbers = lines.map(({ number }) => number);
  return { body: text, type: "application/x-ndjson", lines: numbers, columns: columnsIn(entries), entries };
}

/** @param {any[]} entries */
const columnsIn = (entries) => [...new Set(entries.filter(isObject).flatMap((one) => Object.keys(one)))];

/** Return the value of a JSON text, or undefined. @param {string} text */
function valueOf(text) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** @param {string} text */
function syntaxProblem(text) {
  try {
    JSON.parse(text);
  } catch (error) {
    const reason = /** @type {Error} */ (error).message;
    return new Problem({ message: `This file is not valid JSON: ${reason}. Nothing was imported.` });
  }
  throw new TypeError("The text is valid JSON.");
}

// ------------------------------------------------------------------------------------------------------------ problems

const UUID7 = /^[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i;

/** @param {any} value */
const isText = (value) => typeof value === "string" && !isNumber(value);

/** How values of a kind are recognised, and the error for others. @type {Record<string, KindRule | undefined>} */
const KINDS = {
  text: [isText, "must be text"],
  long: [isText, "must be text"],
  number: [isNumberOf, "must be a number"],
  boolean: [(value) => typeof value === "boolean", "must be true or false"],
  date: [isDate, "must be a date, such as 2026-01-31"],
  choice: [(value, { enum: all }) => all.some((/** @type {any} */ one) => isEqual(one, value)), "is no choice"],
  list: [Array.isArray, "must be a list"],
};

/** @param {any} value @param {Schema} schema */
function isNumberOf(value, { type }) {
  return isNumber(value) || (type === "string" && typeof value === "string" && parseNumber(value) !== undefined);
}

/**
 * Return what is wrong with entries, and where, as far as the page can tell. The API checks everything again.
 * @param {ImportContent} content
 * @param {string} key "" if all entries are added
 * @param {Record<string, Schema>} [schemas]
 */
export function entryProblems({ entries, lines }, key, schemas = itemSchemas) {
  const reader = new SchemaReader({ components: { schemas } });
  const schema = reader.resolve(schemas.ItemFields);
  /** The places of the values of the key. @type {Map<string, string>} */
  const places = new Map();
  return entries.flatMap((entry, index) => {
    const place = lines ? `Line ${lines[index]}` : `Item ${index + 1}`;
    const message = shapeProblem(entry, key, schema) || (key && keyProblem(entry[key], key, place, places))
      || valueProblem(entry, schema, reader);
    return message ? [{ place, message }] : [];
  });
}

/**
 * Return what is wrong with the names in an entry, or "".
 * @param {any} entry undefined if it is not valid JSON
 * @param {string} key
 * @param {Schema} schema
 */
function shapeProblem(entry, key, { required = [] }) {
  if (entry === undefined) return "This is not valid JSON";
  if (!isObject(entry)) return "This is not a JSON object";
  const managed = key !== "id" && MANAGED.find((name) => name in entry);
  if (managed) return `${managed} is set by Vitrine`;
  const missing = !key && required.find((/** @type {string} */ name) => !(name in entry));
  return missing ? `${missing} is missing` : "";
}

/** @param {any} value @param {string} key @param {string} place @param {Map<string, string>} places */
function keyProblem(value, key, place, places) {
  if ((value ?? "") === "") return `${key} is missing`;
  if (key === "id" && !UUID7.test(value)) return "id must be a UUIDv7";
  const text = toJson(value);
  const first = places.get(text);
  places.set(text, first ?? place);
  return first ? `${key} is the same as in ${first.toLowerCase()}` : "";
}

/** @param {Fields} entry @param {Schema} schema @param {SchemaReader} reader */
function valueProblem(entry, { properties = {}, additionalProperties }, reader) {
  for (const [name, value] of Object.entries(entry)) {
    const isKnown = name in properties || MANAGED.includes(name) || additionalProperties !== false;
    const problem = isKnown ? misfit(value, properties[name], reader) : "is not a declared field";
    if (problem) return `${name}${/^[A-Z]/.test(problem) ? ":" : ""} ${problem}`;
  }
  return "";
}

/** @param {any} value @param {Schema | undefined} declared @param {SchemaReader} reader @returns {string} */
function misfit(value, declared, reader) {
  if (!declared || value === null) return "";
  const schema = reader.resolve(declared);
  const known = KINDS[kindOf(schema)];
  if (!known) return "";
  const [fits, message] = known;
  return fits(value, schema) ? violation(value, schema).replace(/\.$/, "") : message;
}

// ------------------------------------------------------------------------------------------------------------- columns

/** @param {any} value */
function typeOf(value) {
  if (isNumber(value)) return "number";
  if (typeof value === "boolean") return "yes or no";
  if (Array.isArray(value)) return "list";
  return typeof value === "string" ? "text" : "object";
}

/**
 * Return the columns with the types of their values.
 * @param {ImportContent} content
 * @param {Record<string, Schema>} [schemas]
 * @returns {{name: string, type: string, isDeclared: boolean}[]}
 */
export function describedColumns({ columns, entries }, schemas = itemSchemas) {
  const known = [...Object.keys(schemas.ItemFields?.properties ?? {}), ...MANAGED];
  return columns.map((name) => {
    const values = entries.map((entry) => entry?.[name] ?? null).filter((value) => value !== null);
    const [type = "empty", ...others] = new Set(values.map(typeOf));
    return { name, type: others.length > 0 ? "mixed" : type, isDeclared: known.includes(name) };
  });
}

/**
 * Return the fields by which items that exist can be found: columns with one value, or the id.
 * @param {ImportContent} content
 * @param {[string, Schema][]} findable
 */
export function possibleKeys({ columns }, findable) {
  return [...findable.map(([name]) => name), "id"].filter((name) => columns.includes(name));
}

/**
 * Return the key that fits most likely: the id if the entries have ids as Vitrine makes them.
 * @param {ImportContent} content
 */
export const likelyKey = ({ entries }) => (UUID7.test(entries[0]?.id ?? "") ? "id" : "");
