// CSV (RFC 4180) as the API reads it: the delimiter, the rows, and the values that cells stand for.

import { Problem } from "./api.js";
import { parseJson, parseNumber } from "./exact-json.js";

/** If several split the header row into equally many columns, the first one counts. */
const DELIMITERS = ["\t", ";", ","];

/**
 * Return the columns and the rows of a text. Throw Problem if it is not CSV.
 * @param {string} text
 * @returns {{columns: string[], rows: CsvRow[]}}
 */
export function parseCsv(text) {
  const [head, ...rows] = rowsOf(text, delimiterOf(text), true);
  if (!head) throw csvProblem("it has no header row");
  const columns = head.cells.map((name) => name.trim());
  columns.forEach((name, index) => {
    const place = `line ${head.line}, column ${index + 1}`;
    if (!name) throw csvProblem(`${place}: it has no name`);
    if (columns.indexOf(name) < index) throw csvProblem(`${place}: “${name}” is already the name of another column`);
  });
  const filled = rows.filter(({ cells }) => cells.some(Boolean));
  const wide = filled.find(({ cells }) => cells.slice(columns.length).some(Boolean));
  if (wide) throw csvProblem(`line ${wide.line}: the row has ${wide.cells.length} cells, more than the header row`);
  return { columns, rows: filled };
}

/** @param {string} problem */
const csvProblem = (problem) =>
  new Problem({ message: `This file is not valid CSV: ${problem}. Nothing was imported.` });

/**
 * Return the delimiter that splits the first row into the most columns: the comma if none splits it.
 * @param {string} text
 */
function delimiterOf(text) {
  const counts = DELIMITERS.map((delimiter) => {
    const [first] = rowsOf(text, delimiter, false);
    return first?.cells.length ?? 0;
  });
  const most = Math.max(...counts);
  return most > 1 ? DELIMITERS[counts.indexOf(most)] : ",";
}

/**
 * Yield the rows that are not blank lines. A quoted cell may contain delimiters and line breaks.
 * @param {string} text
 * @param {string} delimiter
 * @param {boolean} isStrict whether a wrong quote is an error
 * @returns {Generator<CsvRow>}
 */
function* rowsOf(text, delimiter, isStrict) {
  const other = `[^${delimiter}\\r\\n]*`;
  const cell = new RegExp(
    `(?:"(?<quoted>(?:[^"]+|"")*)(?<close>"?)(?<rest>${other})|(?<plain>${other}))(?<end>${delimiter}|\\r\\n|\\n|\\r)?`,
    "y");
  let next = 1;
  while (cell.lastIndex < text.length) {
    const line = next;
    const cells = [];
    let end;
    let isQuoted = false;
    do {
      const { groups = {} } = /** @type {RegExpExecArray} */ (cell.exec(text));
      ({ end } = groups);
      if (isStrict) checkQuotes(groups, line);
      cells.push(valueIn(groups));
      next += breaksIn(groups.quoted);
      isQuoted ||= groups.quoted !== undefined;
    } while (end === delimiter);
    next += 1;
    if (isQuoted || !isBlank(cells)) yield { line, cells };
    if (end === undefined) return;
  }
}

/** @param {string[]} cells */
const isBlank = (cells) => cells.length === 1 && cells[0] === "";

/** @param {Record<string, string | undefined>} groups */
const valueIn = ({ quoted, rest, plain = "" }) => (quoted === undefined ? plain : quoted.replaceAll('""', '"') + rest);

/** @param {string} [text] */
const breaksIn = (text = "") => text.match(/\r\n|\n|\r/g)?.length ?? 0;

/** @param {Record<string, string | undefined>} groups @param {number} line */
function checkQuotes({ close, rest }, line) {
  if (close === "") throw csvProblem(`line ${line}: a double quote at the start of a cell is not closed`);
  if (rest) throw csvProblem(`line ${line}: text follows a closing quote`);
}

// -------------------------------------------------------------------------------------------------------------- values

/** @type {Record<string, boolean>} */
const BOOLEANS = { true: true, false: false };
const UNDECLARED_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/; // Codes such as 12E3 stay text.
const MAX_DIGITS = 38;

/** @type {[string, (text: string, types: string[], element: Schema | undefined, reader: SchemaReader) => any][]} */
const READERS = [
  ["number", parseNumber],
  ["boolean", (text) => BOOLEANS[text.toLowerCase()]],
  ["object", (text) => (text.startsWith("{") ? parsedOrUndefined(text) : undefined)],
  ["array", (text, types, element, reader) => {
    if (text.startsWith("[")) return parsedOrUndefined(text);
    if (types.includes("string")) return undefined;
    return text.split("|").map((one) => one.trim()).filter(Boolean).map((one) => csvValue(one, element, reader));
  }],
];

/**
 * Return the JSON value that a cell stands for.
 * @param {string} cell
 * @param {Schema | undefined} declared the schema of its column
 * @param {SchemaReader} reader
 * @returns {any}
 */
export function csvValue(cell, declared, reader) {
  const text = cell.trim();
  const { types, element } = typesIn(declared, reader);
  if (types.length === 0) return guessed(text) ?? cell;
  for (const [type, read] of READERS) {
    const value = types.includes(type) ? read(text, types, element, reader) : undefined;
    if (value !== undefined) return value;
  }
  return cell;
}

/** @param {string} text */
function guessed(text) {
  const isNumber = UNDECLARED_NUMBER.test(text) && text.replace(/\D|^-?0\.0*/g, "").length <= MAX_DIGITS;
  return isNumber ? parseNumber(text) : BOOLEANS[text.toLowerCase()];
}

/**
 * Return the types that a schema allows, none if it allows any, and the schema of a list's elements.
 * @param {Schema | undefined} declared
 * @param {SchemaReader} reader
 * @returns {{types: string[], element?: Schema}}
 */
function typesIn(declared, reader) {
  if (!declared) return { types: [] };
  const schema = reader.resolve(declared);
  const parts = (schema.anyOf ?? [schema]).map((/** @type {Schema} */ one) => reader.resolve(one));
  const types = parts.map(typeNames);
  if (types.some((/** @type {string[]} */ one) => one.length === 0)) return { types: [] };
  return { types: types.flat(), element: parts.find((/** @type {Schema} */ one) => one.items)?.items };
}

/** @param {Schema} schema @returns {string[]} */
function typeNames({ type = [], format, enum: choices }) {
  if (format === "decimal") return ["number"];
  if (choices) return choices.map((/** @type {any} */ one) => (typeof one === "string" ? "string" : "number"));
  return [type].flat().map((one) => (one === "integer" ? "number" : one));
}

/** @param {string} text */
function parsedOrUndefined(text) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
