// "Try it": a form that sends a request of one operation, shows it as a curl command, and shows the response.

import { newIdempotencyKey } from "./api.js";
import { deepObjectInputs } from "./deep-object-inputs.js";
import { button, formatBytes, h, problemBox } from "./dom.js";
import { parseJson, toJson } from "./exact-json.js";
import { apiRoot, authorizationHeader, token } from "./oidc-session.js";

const COPIED_TIME = 2000; // milliseconds that the button says so

/** Return whether an operation requires sign-in: an empty security requirement makes it optional. @param {any} spec */
export const requiresSignIn = ({ security = [] }) =>
  security.length > 0 && !security.some((/** @type {object} */ one) => Object.keys(one).length === 0);

/**
 * Return the form for an operation.
 * @param {Operation} operation
 * @param {SchemaReader} schemas
 */
export function requestForm({ path, method, spec }, schemas) {
  /** @type {RequestParameter[]} */
  const parameters = (spec.parameters ?? []).map((/** @type {any} */ one) => ({ ...one, ...inputFor(one, schemas) }));
  const body = spec.requestBody && bodyEditor(spec.requestBody.content);
  const curl = h("pre", { class: "curl", tabIndex: 0, role: "region", "aria-label": "As curl" });
  const signInNote = h("p", { class: "note" }, "Sign in above to send this request.");
  const result = h("div", { class: "result", "aria-live": "polite" });
  const sendButton = h("button", { class: "primary" }, "Send");
  const request = () => requestOf(method.toUpperCase(), path, parameters, body);

  const update = () => {
    curl.textContent = curlCommand(request(), Boolean(token()));
    signInNote.hidden = !requiresSignIn(spec) || Boolean(token());
  };
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    sendButton.disabled = true;
    result.replaceChildren(h("p", { class: "loading" }, "Sending…"));
    const { isOk, content } = await responseTo(request());
    result.replaceChildren(...content);
    sendButton.disabled = false;
    // The next request may have another body, which the API rejects under the same key.
    if (isOk) parameters.forEach((one) => one.renew?.());
    update();
  };
  update();
  addEventListener("session", update);
  return h("form", { class: "try", onsubmit, oninput: update, onchange: update },
    h("h4", {}, "Try it"), signInNote,
    parameters.map(({ element }) => element),
    body?.elements, h("div", { class: "row" }, sendButton, copyButton(curl)), curl, result);
}

/** Return a button that copies an element's text, or null if the page may not. @param {Element} source */
function copyButton(source) {
  if (!navigator.clipboard) return null;
  const label = "Copy as curl";
  const copy = button(label, async () => {
    await navigator.clipboard.writeText(source.textContent ?? "");
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = label), COPIED_TIME);
  });
  return copy;
}

// -------------------------------------------------------------------------------------------------------------- inputs

/** Return the input of a parameter, and its values. @param {any} parameter @param {SchemaReader} schemas */
function inputFor(parameter, schemas) {
  const { name, in: place, required, schema } = parameter;
  if (parameter.style === "deepObject") return deepObjectInputs(parameter, schemas);
  const input = inputOf(parameter, schemas.resolve(schema));
  const isKey = place === "header" && name === "Idempotency-Key";
  return {
    element: h("label", {}, h("span", {}, name, required && " (required)"), input),
    values: () => [[name, input.value]],
    ...(isKey && { renew: keyRenewal(/** @type {HTMLInputElement} */ (input)) }),
  };
}

/** @param {any} parameter @param {Schema} schema resolved */
function inputOf({ required, example }, { enum: choices, default: usual }) {
  if (choices) return h("select", {}, ["", ...choices].map((one) => h("option", {}, one)));
  const placeholder = String(usual ?? example ?? "");
  return h("input", { required, spellcheck: false, autocomplete: "off", placeholder });
}

/** Fill in a key. Return what replaces it, unless the user has changed it. @param {HTMLInputElement} input */
function keyRenewal(input) {
  let generated = newIdempotencyKey();
  input.value = generated;
  return () => {
    if (input.value !== generated) return;
    generated = newIdempotencyKey();
    input.value = generated;
  };
}

/** @param {Record<string, any>} contents the request body's media types */
function bodyEditor(contents) {
  const type = h("select", {}, Object.keys(contents).map((one) => h("option", {}, one)));
  const example = h("select");
  const area = h("textarea", { class: "code", rows: 6, spellcheck: false, "aria-label": "Body" });
  const examples = () => contents[type.value].examples ?? {};
  const fillBody = () => (area.value = exampleText(examples()[example.value]?.value ?? {}));
  const listExamples = () => {
    example.replaceChildren(...Object.keys(examples()).map((name) => h("option", { value: name }, exampleLabel(name))));
    fillBody();
  };
  type.addEventListener("change", listExamples);
  example.addEventListener("change", fillBody);
  listExamples();
  return {
    type: () => type.value,
    text: () => area.value,
    elements: [h("label", {}, h("span", {}, "Body"), type), h("label", {}, h("span", {}, "Example"), example), area],
  };
}

/**
 * Return an example's name in words: "With picture ready" for `withPictureReady`. Error codes stay as they are.
 * @param {string} name
 */
export function exampleLabel(name) {
  if (!/[a-z]/.test(name)) return name;
  const words = name.replace(/([A-Z])/g, " $1").toLowerCase();
  return words[0].toUpperCase() + words.slice(1);
}

/** @param {any} value */
export const exampleText = (value) => (typeof value === "string" ? value : toJson(value, 2));

// ------------------------------------------------------------------------------------------------------------- request

/**
 * @param {string} method
 * @param {string} path
 * @param {RequestParameter[]} parameters
 * @param {{type: () => string, text: () => string}} [body]
 * @returns {ApiRequest}
 */
function requestOf(method, path, parameters, body) {
  const values = parameters.flatMap((one) => one.values().map(([name, value]) => ({ name, in: one.in, value })));
  const headers = values.filter((one) => one.in === "header" && one.value).map(({ name, value }) => [name, value]);
  return {
    method,
    url: requestUrl(path, values),
    headers: { ...Object.fromEntries(headers), ...(body && { "Content-Type": body.type() }) },
    body: body?.text(),
  };
}

/**
 * Return a request's URL. Path parameters without a value stay as they are, such as "{item_id}".
 * @param {string} path
 * @param {{name: string, in: string, value: string}[]} parameters
 */
export function requestUrl(path, parameters) {
  const filled = path.replace(/\{(\w+)\}/g, (placeholder, name) => {
    const value = parameters.find((one) => one.in === "path" && one.name === name)?.value;
    return value ? encodeURIComponent(value) : placeholder;
  });
  const url = new URL(filled.slice(1), apiRoot);
  for (const { name, in: place, value } of parameters) {
    if (place === "query" && value) url.searchParams.set(name, value);
  }
  return url;
}

/**
 * Return a request as a command for a shell, with the token in a variable.
 * @param {ApiRequest} request
 * @param {boolean} hasToken
 */
export function curlCommand({ method, url, headers, body }, hasToken) {
  const address = url.href.replaceAll("%7B", "{").replaceAll("%7D", "}");
  const parts = [`curl -i${method === "GET" ? "" : ` -X ${method}`} ${shellQuoted(address)}`];
  if (hasToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${shellQuoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`--data-binary ${shellQuoted(body)}`);
  return parts.join(" \\\n  ");
}

/** @param {string} text */
const shellQuoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// ------------------------------------------------------------------------------------------------------------ response

/** Send a request. Return the response as elements, and whether it succeeded. @param {ApiRequest} request */
async function responseTo({ method, url, headers, body }) {
  const started = performance.now();
  try {
    const authorization = await authorizationHeader();
    const response = await fetch(url, { method, headers: { ...authorization, ...headers }, body, cache: "no-store" });
    const content = await response.blob();
    const duration = Math.round(performance.now() - started);
    const parts = [statusLine(response, content, duration), headerList(response), await bodyOf(content)];
    return { isOk: response.ok, content: parts };
  } catch {
    const message = navigator.onLine ? "No response, or one that this page may not read." : "You are offline.";
    return { isOk: false, content: [problemBox(new Error(message))] };
  }
}

/** @param {Response} response @param {Blob} content @param {number} duration in milliseconds */
function statusLine({ status, statusText, redirected }, content, duration) {
  return h("p", {}, statusBadge(String(status)), ` ${statusText} · ${duration} ms · ${formatBytes(content.size)}`,
    redirected && h("span", {}, " · after a redirect"));
}

/** @param {string} status */
export const statusBadge = (status) => h("b", { class: `status s${status[0]}` }, status);

/** @param {Response} response */
function headerList({ headers }) {
  const lines = [...headers].map(([name, value]) => `${name}: ${value}`);
  return h("details", {}, h("summary", {}, "Headers"), h("pre", {}, lines.join("\n")));
}

const MAX_TEXT = 20000; // characters

/** @param {Blob} content */
async function bodyOf(content) {
  if (content.size === 0) return h("p", { class: "note" }, "No body.");
  if (content.type.startsWith("image/")) {
    const src = URL.createObjectURL(content);
    return h("img", { src, alt: "The response's picture", onload: () => URL.revokeObjectURL(src) });
  }
  const text = await content.text();
  try {
    return h("pre", {}, toJson(parseJson(text), 2));
  } catch {
    return h("pre", {}, text.slice(0, MAX_TEXT));
  }
}
