// JSON whose numbers keep every digit. A number that JavaScript would change is kept as a string that begins with MARK:
// two characters of Unicode's private use area, which texts do not contain.

const MARK = "\uE0A1\uE0A2";
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARKED = new RegExp(`"${MARK}(-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)"`, "g");

/**
 * Return the value of a JSON text. Throw SyntaxError.
 * @param {string} text
 * @returns {any}
 */
export function parseJson(text) {
  JSON.parse(text); // Throws with positions in the original text.
  const isInexact = (/** @type {string} */ token) => token[0] !== '"' && String(Number(token)) !== token;
  return JSON.parse(text.replace(TOKENS, (token) => (isInexact(token) ? `"${MARK}${token}"` : token)));
}

/**
 * Return the JSON text of such a value. The API accepts U+FFFD only escaped.
 * @param {any} value
 * @param {number} [indent]
 */
export function toJson(value, indent) {
  return JSON.stringify(value, null, indent).replace(MARKED, "$1").replaceAll("\uFFFD", "\\ufffd");
}

/**
 * Return the number in a text, or undefined.
 * @param {string} text
 */
export const parseNumber = (text) => (NUMBER.test(text.trim()) ? parseJson(text.trim()) : undefined);

/** @param {any} value */
export const isNumber = (value) => typeof value === "number" || (typeof value === "string" && value.startsWith(MARK));

/**
 * Compare two JSON values. The order of names does not count.
 * @param {any} one
 * @param {any} other
 */
export function isEqual(one, other) {
  if (one === undefined || other === undefined) return one === other;
  return toJson(sorted(one)) === toJson(sorted(other));
}

/** @param {any} value @returns {any} */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

/** @param {any} value */
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
