// Calls of the API, and what they fail with.

import { parseJson, toJson } from "./exact-json.js";
import { apiRoot, authorizationHeader, renewToken } from "./oidc-session.js";

/** An error whose message is shown to the user. */
export class Problem extends Error {
  /**
   * @param {ProblemFields} fields
   */
  constructor({ message, status = 0, error = "", requestId = "", details = [], retryAfter = 0 }) {
    super(message);
    this.status = status;
    this.error = error;
    this.requestId = requestId;
    this.details = details;
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed later. */
  get isTemporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** Whether the user must sign in. API Gateway itself rejects a token with 403, without an error code. */
  get needsSignIn() {
    return this.status === 401 || (this.status === 403 && this.error === "");
  }
}

/** For responses that are not the API's own. @type {Record<number, string>} */
const MESSAGES = {
  401: "Sign in to continue.",
  403: "You are not allowed to do this.",
  404: "This was not found.",
  413: "This is too large for one request.",
  429: "Too many requests at once. Try again in a moment.",
  502: "The server had a problem. Try again in a moment.",
  503: "The server is not available. Try again in a moment.",
  504: "The server took too long to respond. Try again.",
};

const NOT_MODIFIED = 304;

/**
 * Call the API. Renew an expired token once. Throw Problem. `data` is null if the request has If-None-Match, and the
 * response is 304.
 * @param {string} method
 * @param {string} path below the API's root, without a slash at its start
 * @param {CallOptions} [options]
 * @returns {Promise<{data: any, etag: string | null, status: number}>}
 */
export async function call(method, path, options = {}) {
  let answer = await send(method, path, options);
  const isRejected = [401, 403].includes(answer.response.status);
  if (isRejected && (await renewToken())) answer = await send(method, path, options);
  const { response } = answer;
  const { status } = response;
  if (status === NOT_MODIFIED) return { data: null, etag: response.headers.get("ETag"), status };
  const data = parsedOrUndefined(answer.text);
  if (!response.ok) throw problemOf(response, data);
  // Not JSON, such as the sign-in page of a hotel's network.
  if (data === undefined) {
    throw new Problem({ message: "The response is not from the server. Does this network require a sign-in?" });
  }
  return { data, etag: response.headers.get("ETag"), status };
}

/** @param {string} method @param {string} path @param {CallOptions} options */
async function send(method, path, { body, type = "application/json", headers, keepalive = false, signal }) {
  const hasBody = body !== undefined;
  const payload = typeof body === "string" || !hasBody ? body : toJson(body);
  const allHeaders = { ...(await authorizationHeader()), ...headers, ...(hasBody && { "Content-Type": type }) };
  try {
    const response = await fetch(new URL(path, apiRoot), {
      method, body: payload, headers: allHeaders, keepalive, signal, cache: "no-store",
    });
    return { response, text: await response.text() };
  } catch {
    throw new Problem({ message: navigator.onLine ? "The server does not respond." : "You are offline." });
  }
}

/** @param {Response} response @param {any} data */
function problemOf(response, data) {
  const { status } = response;
  const body = data && typeof data === "object" ? data : {};
  return new Problem({
    status,
    error: body.error,
    message: body.message || body.Message || MESSAGES[status] || `The server responded with status ${status}.`,
    requestId: body.requestId ?? response.headers.get("X-Request-Id") ?? "",
    details: body.details,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

/** @param {string} text */
function parsedOrUndefined(text) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** Return a new key. `crypto.randomUUID` is missing on pages without TLS. */
export function newIdempotencyKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Return the header that makes a write fail with 412 if the item has changed.
 * @param {string | null} [etag]
 * @returns {Record<string, string>}
 */
export const ifMatch = (etag) => (etag ? { "If-Match": etag } : {});

/** @param {string} id */
export const itemPath = (id) => `items/${encodeURIComponent(id)}`;

/** Resolve the page's links. Relative ones would depend on whether the address ends with a slash. */
export function resolveLinks() {
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-path]"))) {
    link.href = new URL(link.dataset.path ?? "", apiRoot).href;
  }
}
