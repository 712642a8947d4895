// The API as the pages use it: calls, problems in words, JSON whose numbers stay exact.

import { authorization, renew, root } from "./session.js";

// ------------------------------------------------------------------------------------------------------- exact JSON
// The API keeps every number to its last digit, and a JavaScript number cannot. A number that would change on its way
// through one travels as a string behind MARK, two characters of Unicode's private use area that no text has.

const MARK = "\uE0A1\uE0A2";
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARKED = new RegExp(`"${MARK}(-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)"`, "g");

/** The value of a JSON text. Throws SyntaxError. */
export function parse(text) {
  JSON.parse(text); // For its message: positions in it are those of the text as it was written.
  const inexact = (token) => token[0] !== '"' && String(Number(token)) !== token;
  return JSON.parse(text.replace(TOKENS, (token) => (inexact(token) ? `"${MARK}${token}"` : token)));
}

/** The JSON text of a value that `parse` or `number` gave. The API accepts U+FFFD only escaped. */
export function write(value, indent) {
  return JSON.stringify(value, null, indent).replace(MARKED, "$1").replaceAll("\uFFFD", "\\ufffd");
}

/** A number from its text, or undefined where it is none. */
export const number = (text) => (NUMBER.test(text.trim()) ? parse(text.trim()) : undefined);

export const isNumber = (value) => typeof value === "number" || (typeof value === "string" && value.startsWith(MARK));

/** Whether two JSON values say the same, in whatever order; undefined is only the same as itself. */
export function same(one, other) {
  return one === undefined || other === undefined ? one === other : write(sorted(one)) === write(sorted(other));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

// ------------------------------------------------------------------------------------------------------------ calls

/**
 * Why a call failed: `status` 0 when no answer of the API came; `error` for programs, `message` for people; `retryAfter`
 * in seconds, 0 where the API does not say.
 */
export class Problem extends Error {
  constructor({ status = 0, error = "", message, requestId = "", details = [], retryAfter = 0 }) {
    super(message);
    Object.assign(this, { status, error, requestId, details, retryAfter });
  }

  /** Whether the same call may succeed later: no answer came, the API was busy, or it had trouble. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** Whether the stage asks for a sign-in: API Gateway by itself, as `chalice deploy` leaves it, calls a bad token 403. */
  get signIn() {
    return this.status === 401 || (this.status === 403 && this.error === "");
  }
}

const WORDS = {
  401: "This stage needs sign-in.",
  403: "This is not allowed here.",
  404: "There is nothing at this address.",
  413: "This is more than the API takes at once.",
  429: "Too many requests at once: try again in a moment.",
  502: "The API could not answer: try again in a moment.",
  503: "The API is not available: try again in a moment.",
  504: "The API took too long to answer: try again.",
};

/**
 * Calls the API: `path` below its root, `body` a value (sent as JSON) or a text of the given `type`; `signal` breaks the
 * call off. Gives `{data, etag, status}`. Throws Problem.
 */
export async function call(method, path, { body, type = "application/json", headers = {}, keepalive = false, signal } = {}) {
  const payload = body === undefined || typeof body === "string" ? body : write(body);
  const asked = async () => ({
    method, body: payload, keepalive, signal, cache: "no-store",
    headers: { ...(await authorization()), ...headers, ...(body !== undefined && { "Content-Type": type }) },
  });
  const sent = await asked();
  let { response, text } = await answered(path, sent);
  if ([401, 403].includes(response.status) && sent.headers.Authorization && (await renew())) ({ response, text } = await answered(path, await asked()));
  const data = lenient(text);
  if (!response.ok) throw problemOf(response, data);
  // Such as the sign-in page of a hotel's network, which answers whatever was asked. No answer of the API came, then.
  if (data === undefined) throw new Problem({ message: "The answer did not come from the API. Does this network want you to sign in first?" });
  return { data, etag: response.headers.get("ETag"), status: response.status };
}

async function answered(path, sent) {
  try {
    const response = await fetch(new URL(path, root), sent);
    return { response, text: await response.text() };
  } catch {
    throw new Problem({ message: navigator.onLine ? "The API does not answer." : "You are offline." });
  }
}

function problemOf(response, data) {
  const { status } = response;
  const said = data && typeof data === "object" ? data : {};
  return new Problem({
    status,
    error: said.error ?? "",
    message: said.message || said.Message || WORDS[status] || `The API answered ${status}.`,
    requestId: said.requestId ?? response.headers.get("X-Request-Id") ?? "",
    details: said.details ?? [],
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

/** The value of a JSON text, or undefined where it is none. */
function lenient(text) {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** A key that makes a create safe to send again (also where a page is not served securely). */
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

export const itemPath = (id) => `items/${encodeURIComponent(id)}`;
