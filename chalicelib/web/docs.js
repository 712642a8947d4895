// The API's own page: its OpenAPI document to read, and each route to try.

import { authorization, call, newKey, parse, root, setToken, token, write } from "./api.js";
import { $, button, bytes, h, problemBox } from "./dom.js";

let api;

// ---------------------------------------------------------------------------------------------------------- schemas

/** A schema with its reference followed, its parts put together, and "or null" taken off. */
function resolved(schema = {}) {
  if (schema.$ref) return resolved(schema.$ref.slice(2).split("/").reduce((part, name) => part[name], api));
  if (schema.allOf) {
    const parts = schema.allOf.map(resolved);
    return {
      ...schema, allOf: undefined, type: "object",
      properties: Object.assign({}, ...parts.map((part) => part.properties)),
      required: parts.flatMap((part) => part.required ?? []),
    };
  }
  const some = schema.anyOf?.filter((one) => one.type !== "null");
  return some?.length === 1 ? { ...resolved(some[0]), ...schema, anyOf: undefined } : schema;
}

const SAMPLES = { "date-time": "2030-01-31T12:00:00.000Z", id: "0193a5c8-7d3e-7c41-9d52-0b6f4a1e8c77", url: "https://…", width: 1600, height: 1200, bytes: 482133, size: 200, version: 1 };

/** A value that a schema would allow, for people to start from. */
function sample(schema, name = "", depth = 0) {
  const { type, enum: choices, properties = {}, items, format, example, default: usual } = resolved(schema);
  if (example !== undefined) return example;
  if (choices) return choices.includes("image/jpeg") ? "image/jpeg" : choices.at(-1);
  if (depth > 5) return {};
  if (type === "array") return [sample(items, "", depth + 1)];
  if (type === "object" || Object.keys(properties).length > 0) {
    const made = Object.fromEntries(Object.entries(properties).map(([one, inner]) => [one, sample(inner, one, depth + 1)]));
    return depth < 3 && isFree(schema) ? { ...made, ...OWN } : made;
  }
  if (usual !== undefined && usual !== null) return usual;
  if (type === "boolean") return true;
  if (type === "integer" || type === "number") return SAMPLES[name] ?? 1;
  return SAMPLES[format] ?? SAMPLES[name] ?? (/At$/.test(name) ? SAMPLES["date-time"] : "…");
}

/** What an item's own fields may look like, where the document leaves them to the caller. */
const OWN = { title: "Blue vase", price: 48.5, tags: ["glass", "1930s"] };

function isFree(schema) {
  const parts = (schema.allOf ?? [schema]).map(resolved);
  return parts.some((part) => part.type === "object" && !part.additionalProperties && Object.keys(part.properties ?? {}).length === 0);
}

/** What a schema says, in a few words. */
function words(schema) {
  const known = resolved(schema);
  const or = schema.anyOf?.some((one) => one.type === "null") ? " or null" : "";
  if (known.type === "array") return `list of ${words(known.items)}${or}`;
  const limits = [
    known.minimum !== undefined && `from ${known.minimum}`, known.maximum !== undefined && `to ${known.maximum}`,
    known.maxLength !== undefined && `up to ${known.maxLength} characters`,
    known.default !== undefined && known.default !== null && `${JSON.stringify(known.default)} by default`,
  ].filter(Boolean);
  const type = known.enum ? known.enum.map((one) => JSON.stringify(one)).join(" | ") : [known.type ?? "any"].flat().join(" or ");
  return [(known.format === "date-time" ? "time (ISO 8601)" : known.title && type === "object" ? known.title : type) + or, ...limits].join(", ");
}

function properties(schema, depth = 0) {
  const known = resolved(schema);
  if (known.type === "array") return properties(known.items, depth);
  const entries = Object.entries(known.properties ?? {});
  if (entries.length === 0) return depth === 0 && known.type === "object" ? h("p", { class: "note" }, "A JSON object with any fields.") : null;
  return h("ul", { class: "schema" }, entries.map(([name, inner]) => h("li", {},
    h("code", {}, name), " ", h("span", { class: "type" }, words(inner)),
    (known.required ?? []).includes(name) && h("span", { class: "required" }, "always"),
    inner.description && prose(inner.description),
    depth < 3 && properties(inner, depth + 1))),
  depth === 0 && isFree(schema) && h("li", {}, h("em", {}, "and the item’s own fields")));
}

/** A description, with what stands between backticks as code. */
function prose(text) {
  return h("p", { class: "note" }, text.split(/`+([^`]+)`+/).map((part, index) => (index % 2 ? h("code", {}, part) : part)));
}

// ------------------------------------------------------------------------------------------------------- operations

const anchor = (method, path) => `${method}-${path}`.replace(/[^a-z0-9]+/gi, "-").replace(/-$/, "");

function operation({ path, method, said }) {
  const section = h("details", { class: "operation", id: anchor(method, path) },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", { class: "path" }, path),
      h("span", { class: "what" }, said.summary), said.security?.length > 0 && h("span", { class: "lock", title: "Needs sign-in, except in the stage local" }, "sign-in")));
  // Filled when it is first opened: a page of many routes shows at once.
  section.addEventListener("toggle", () => section.open && section.children.length === 1 && section.append(details(path, method, said)));
  return section;
}

function details(path, method, said) {
  return h("div", { class: "columns" },
    h("div", {},
      said.description && prose(said.description),
      parameters(said.parameters ?? []),
      said.requestBody && h("h3", {}, "Body"),
      Object.entries(said.requestBody?.content ?? {}).map(([type, { schema }]) => [h("p", {}, h("code", {}, type)), properties(schema)]),
      h("h3", {}, "Answers"),
      Object.entries(said.responses).map(([status, answer]) => response(status, answer))),
    attempt(path, method, said));
}

function parameters(all) {
  if (all.length === 0) return null;
  return [h("h3", {}, "Parameters"), h("ul", { class: "schema" }, all.map((one) => h("li", {},
    h("code", {}, one.name), " ", h("span", { class: "type" }, `${one.in} · ${words(one.schema)}`),
    one.required && h("span", { class: "required" }, "always"),
    (one.description ?? one.schema.description) && prose(one.description ?? one.schema.description))))];
}

function response(status, { description, content = {} }) {
  const [[type, { schema }] = [null, {}]] = Object.entries(content);
  const isError = status >= "400";
  const label = [h("b", { class: `status s${status[0]}` }, status), " ", isError ? description.split(", ").map((code) => [h("code", {}, code), " "]) : description];
  if (isError || !schema || !type.includes("json")) return h("p", { class: "answer" }, label, type && !isError && h("span", { class: "type" }, ` ${type}`));
  return h("details", { class: "answer" }, h("summary", {}, label), properties(schema), h("pre", {}, write(sample(schema), 2)));
}

// ------------------------------------------------------------------------------------------------------------ trying

function attempt(path, method, said) {
  const types = Object.keys(said.requestBody?.content ?? {});
  const type = types.length > 0 && h("select", { "aria-label": "Content type" }, types.map((one) => h("option", {}, one)));
  const area = type && h("textarea", { class: "code", rows: 6, spellcheck: false, "aria-label": "Body" });
  const inputs = (said.parameters ?? []).map((one) => ({ ...one, input: inputFor(one) }));
  const shell = h("pre", { class: "curl" });
  const result = h("div", { class: "result", "aria-live": "polite" });
  const send = h("button", { class: "primary" }, "Send");

  const fill = () => {
    const schema = said.requestBody.content[type.value].schema;
    area.value = type.value.includes("ndjson") ? `${write(OWN)}\n${write({ ...OWN, title: "Red bowl" })}\n` : write(sample(schema), 2);
  };
  const request = () => ({
    method: method.toUpperCase(),
    url: address(path, inputs),
    headers: {
      ...Object.fromEntries(inputs.filter((one) => one.in === "header" && one.input.value).map((one) => [one.name, one.input.value])),
      ...(type && { "Content-Type": type.value }),
    },
    body: type ? area.value : undefined,
  });
  const update = () => shell.replaceChildren(curl(request()));
  const submit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    result.replaceChildren(h("p", { class: "loading" }, "Sending…"));
    result.replaceChildren(...(await answerTo(request())));
    send.disabled = false;
  };

  if (type) {
    fill();
    type.addEventListener("change", fill);
  }
  const form = h("form", { class: "try", onsubmit: submit, oninput: update, onchange: update },
    h("h3", {}, "Try it"),
    inputs.map(({ name, input, required }) => h("label", {}, h("span", {}, name, required && " *"), input)),
    type && h("label", {}, h("span", {}, "Body"), type), area,
    h("div", { class: "row" }, send, button("Copy as curl", () => navigator.clipboard?.writeText(shell.textContent))), shell, result);
  update();
  return form;
}

function inputFor({ name, in: where, required, schema }) {
  const { enum: choices } = resolved(schema);
  if (choices) return h("select", {}, h("option", { value: "" }, ""), choices.map((one) => h("option", {}, one)));
  const held = where === "header" && name === "Idempotency-Key" ? newKey() : "";
  return h("input", { required, value: held, spellcheck: false, autocomplete: "off", placeholder: placeholder(schema) });
}

function placeholder(schema) {
  const known = resolved(schema);
  return known.default !== undefined && known.default !== null ? String(known.default) : known.format === "date-time" ? SAMPLES["date-time"] : "";
}

function address(path, inputs) {
  const filled = path.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = inputs.find((one) => one.in === "path" && one.name === name)?.input.value;
    return value ? encodeURIComponent(value) : whole;
  });
  const url = new URL(filled.slice(1), root);
  for (const { name, in: where, input } of inputs) {
    if (where === "query" && input.value) url.searchParams.set(name, input.value);
  }
  return url;
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function curl({ method, url, headers, body }) {
  const parts = [`curl -i${method === "GET" ? "" : ` -X ${method}`} ${quoted(decodeBraces(url.href))}`];
  if (token()) parts.push('-H "Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`--data-binary ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

const decodeBraces = (href) => href.replaceAll("%7B", "{").replaceAll("%7D", "}");

async function answerTo({ method, url, headers, body }) {
  const started = performance.now();
  try {
    const answer = await fetch(url, { method, headers: { ...authorization(), ...headers }, body, cache: "no-store" });
    const content = await answer.blob();
    const took = Math.round(performance.now() - started);
    return [
      h("p", {}, h("b", { class: `status s${String(answer.status)[0]}` }, String(answer.status)), ` ${answer.statusText} · ${took} ms · ${bytes(content.size)}`,
        answer.redirected && h("span", {}, " · after a redirect")),
      h("details", {}, h("summary", {}, "Headers"), h("pre", {}, [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n"))),
      await shownBody(content),
    ];
  } catch {
    return [problemBox({ message: navigator.onLine ? "No answer came, or one that this page may not read." : "You are offline." })];
  }
}

async function shownBody(content) {
  if (content.size === 0) return h("p", { class: "note" }, "No body.");
  if (content.type.startsWith("image/")) {
    const url = URL.createObjectURL(content);
    return h("img", { src: url, alt: "The picture that came", onload: () => URL.revokeObjectURL(url) });
  }
  const text = await content.text();
  try {
    return h("pre", {}, write(parse(text), 2));
  } catch {
    return h("pre", {}, text.slice(0, 20000));
  }
}

// -------------------------------------------------------------------------------------------------------------- page

const METHODS = ["get", "post", "put", "patch", "delete"];

function groups() {
  const found = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => methods[one])) {
      const said = methods[method];
      const tag = said.tags?.[0] ?? "Other";
      found.set(tag, [...(found.get(tag) ?? []), { path, method, said }]);
    }
  }
  // What the API is about comes before what it says of itself.
  return [...found].sort(([one], [other]) => (one === "About") - (other === "About"));
}

function errorTable(all) {
  const codes = new Map();
  for (const { said } of all) {
    for (const [status, { description }] of Object.entries(said.responses)) {
      if (status >= "400") description.split(", ").forEach((code) => codes.set(code, status));
    }
  }
  const rows = [...codes].sort(([one, a], [other, b]) => a - b || one.localeCompare(other));
  return h("section", { id: "errors" }, h("h2", {}, "Errors"),
    h("p", {}, "Every error has the same shape, and its request id stands in the logs:"),
    h("pre", {}, write({ error: "ITEM_NOT_FOUND", message: "There is no item 42.", requestId: "f1c0…" }, 2)),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Status"), h("th", { scope: "col" }, "Code"))),
      h("tbody", {}, rows.map(([code, status]) => h("tr", {}, h("td", {}, h("b", { class: `status s${status[0]}` }, status)), h("td", {}, h("code", {}, code)))))));
}

function show() {
  $("#version").textContent = api.info.version;
  const all = groups();
  $("#contents").replaceChildren(...all.map(([tag, operations]) => [h("h2", {}, tag), h("ul", {}, operations.map(({ path, method }) =>
    h("li", {}, h("a", { href: `#${anchor(method, path)}` }, h("span", { class: `method ${method}` }, method.toUpperCase()), ` ${path}`))))]).flat(),
  h("p", {}, h("a", { href: "#errors" }, "Errors")));
  $("#manual").replaceChildren(
    h("h1", {}, `${api.info.title} API`), prose(api.info.description ?? ""),
    h("p", { class: "note" }, "Base: ", h("code", {}, root.href)),
    ...all.map(([tag, operations]) => h("section", {}, h("h2", {}, tag), operations.map(operation))),
    errorTable(all.flatMap(([, operations]) => operations)));
  $("#manual").removeAttribute("aria-busy");
}

/** Opens the route that the address names. */
function goTo() {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!found) return;
  if (found.tagName === "DETAILS") found.open = true;
  found.scrollIntoView();
}

for (const link of document.querySelectorAll("a[data-to]")) link.href = new URL(link.dataset.to, root);
$("#token").value = token();
$("#token").addEventListener("input", (event) => setToken(event.target.value));
addEventListener("hashchange", goTo);

try {
  api = (await call("GET", "openapi.json")).data;
  show();
  goTo();
} catch (problem) {
  $("#manual").replaceChildren(problemBox(problem, button("Try again", () => location.reload())));
}
