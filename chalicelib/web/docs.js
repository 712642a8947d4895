// The API's own page: its OpenAPI document to read, and each route to try.

import { call, newKey, parse, write } from "./api.js";
import { $, button, bytes, h, problemBox } from "./dom.js";
import { blocks, inline } from "./markdown.js";
import { reader } from "./schema.js";
import { authorization, canSignIn, person, root, setToken, signIn, signOut, token } from "./session.js";

let api;
let read;

// ---------------------------------------------------------------------------------------------------------- reading

const slug = (...parts) => parts.join("-").replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "").toLowerCase();

function operation({ path, method, said }) {
  const section = h("details", { class: "operation", id: slug(method, path) || method },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", { class: "path" }, path),
      h("span", { class: "what" }, said.summary), demanded(said) && h("span", { class: "lock" }, "sign-in")));
  // Filled when it is first opened: a page of many routes shows at once.
  section.addEventListener("toggle", () => section.open && section.children.length === 1 && section.append(details(path, method, said)));
  return section;
}

/** Whether a route needs a token in this stage: where it needs none, the document says that one may be left out. */
const demanded = ({ security = [] }) => security.length > 0 && !security.some((one) => Object.keys(one).length === 0);

function details(path, method, said) {
  const [answers, refusals] = [[], []];
  for (const entry of Object.entries(said.responses)) (entry[0] < "400" ? answers : refusals).push(entry);
  return h("div", { class: "columns" },
    h("div", {},
      said.description && h("p", {}, inline(said.description)),
      parameters(said.parameters ?? []),
      said.requestBody && h("h4", {}, "Body"),
      Object.entries(said.requestBody?.content ?? {}).map(([type, content]) => bodyOf(type, content)),
      h("h4", {}, "Answers"), answers.map(([status, answer]) => answerBox(status, answer)),
      h("h4", {}, "Errors"), refusals.map(([status, answer]) => answerBox(status, answer))),
    attempt(path, method, said));
}

function parameters(all) {
  if (all.length === 0) return null;
  return [h("h4", {}, "Parameters"), h("ul", { class: "schema" }, all.map((one) => h("li", {},
    h("code", {}, one.name), " ", h("span", { class: "type" }, `${one.in}, ${read.words(one.schema)}`),
    one.required && h("span", { class: "required" }, "always"),
    (one.description ?? one.schema.description) && h("p", { class: "note" }, inline(one.description ?? one.schema.description)),
    one.example !== undefined && h("p", { class: "note" }, "Such as ", h("code", {}, String(one.example))))))];
}

const OF_EVERY_RESPONSE = new Set(["X-Content-Type-Options", "X-Request-Id"]);

function bodyOf(type, { schema }) {
  const said = read.resolved(schema);
  return h("div", { class: "body" }, h("p", {}, h("code", {}, type), said.description && [": ", inline(said.description)]), read.properties(schema));
}

function answerBox(status, { description, headers = {}, content = {} }) {
  const [[type, { schema, examples = {} }] = [null, {}]] = Object.entries(content);
  const codes = status >= "400" ? description.split(", ").map((code) => [h("code", {}, code), " "]) : inline(description);
  const named = Object.entries(headers).filter(([name]) => !OF_EVERY_RESPONSE.has(name));
  const shown = Object.entries(examples);
  return h("details", { class: "answer" },
    h("summary", {}, h("b", { class: `status s${status[0]}` }, status), " ", codes, type && !type.includes("json") && h("span", { class: "type" }, ` ${type}`)),
    named.length > 0 && h("ul", { class: "schema" }, named.map(([name, header]) => h("li", {}, h("code", {}, name), " ",
      h("span", { class: "type" }, "header"), h("p", { class: "note" }, inline(read.resolved(header).description ?? ""))))),
    status < "400" && schema && read.properties(schema),
    shown.map(([name, { value }]) => [shown.length > 1 && h("p", { class: "example" }, phrase(name)), h("pre", {}, textOf(value))]));
}

/** A name of an example as people write: `withPictureReady` is "With picture ready"; codes stay codes. */
const phrase = (name) => (/[a-z]/.test(name) ? name.replace(/([A-Z])/g, " $1").toLowerCase().replace(/^./, (one) => one.toUpperCase()) : h("code", {}, name));

const textOf = (value) => (typeof value === "string" ? value : write(value, 2));

// ------------------------------------------------------------------------------------------------------------ trying

function attempt(path, method, said) {
  const contents = said.requestBody?.content;
  const inputs = (said.parameters ?? []).map((one) => ({ ...one, ...inputFor(one) }));
  const body = contents && bodyInput(contents);
  const shell = h("pre", { class: "curl", tabIndex: 0, role: "region", "aria-label": "As curl" });
  const locked = h("p", { class: "note" }, "It needs a token: sign in above.");
  const result = h("div", { class: "result", "aria-live": "polite" });
  const send = h("button", { class: "primary" }, "Send");
  const copy = button("Copy as curl", async () => {
    await navigator.clipboard.writeText(shell.textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy as curl"), 2000);
  });

  const request = () => ({
    method: method.toUpperCase(),
    url: address(path, inputs),
    headers: {
      ...Object.fromEntries(inputs.filter((one) => one.in === "header" && one.input.value).map((one) => [one.name, one.input.value])),
      ...(body && { "Content-Type": body.type() }),
    },
    body: body?.text(),
  });
  const update = () => {
    shell.replaceChildren(curl(request()));
    locked.hidden = !demanded(said) || Boolean(token());
  };
  const submit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    result.replaceChildren(h("p", { class: "loading" }, "Sending…"));
    const { shown, done } = await answerTo(request());
    result.replaceChildren(...shown);
    send.disabled = false;
    // What is sent next is another item: under the same key, another body would be refused.
    if (done) inputs.forEach((one) => one.renew?.());
    update();
  };
  const form = h("form", { class: "try", onsubmit: submit, oninput: update, onchange: update },
    h("h4", {}, "Try it"),
    locked,
    inputs.map(({ name, input, required }) => h("label", {}, h("span", {}, name, required && " (needed)"), input)),
    body?.elements,
    h("div", { class: "row" }, send, navigator.clipboard && copy), shell, result);
  update();
  addEventListener("session", update);
  return form;
}

/** What a body is written in: its type, an example to start from, and the text itself. */
function bodyInput(contents) {
  const type = h("select", {}, Object.keys(contents).map((one) => h("option", {}, one)));
  const example = h("select");
  const area = h("textarea", { class: "code", rows: 6, spellcheck: false, "aria-label": "Body" });
  const examples = () => contents[type.value].examples ?? {};
  const fill = () => (area.value = textOf(examples()[example.value]?.value ?? {}));
  const offer = () => {
    example.replaceChildren(...Object.keys(examples()).map((name) => h("option", { value: name }, phrase(name))));
    fill();
  };
  type.addEventListener("change", offer);
  example.addEventListener("change", fill);
  offer();
  return {
    type: () => type.value, text: () => area.value,
    elements: [h("label", {}, h("span", {}, "Body"), type), h("label", {}, h("span", {}, "Example"), example), area],
  };
}

function inputFor({ name, in: where, required, schema, example }) {
  const { enum: choices, default: usual } = read.resolved(schema);
  if (choices) return { input: h("select", {}, h("option", { value: "" }, ""), choices.map((one) => h("option", {}, one))) };
  const input = h("input", { required, spellcheck: false, autocomplete: "off", placeholder: String(usual ?? example ?? "") });
  if (where !== "header" || name !== "Idempotency-Key") return { input };
  let given = (input.value = newKey());
  const renew = () => input.value === given && (given = input.value = newKey()); // One that somebody typed stays.
  return { input, renew };
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
    const answer = await fetch(url, { method, headers: { ...(await authorization()), ...headers }, body, cache: "no-store" });
    const content = await answer.blob();
    const took = Math.round(performance.now() - started);
    return { done: answer.ok, shown: [
      h("p", {}, h("b", { class: `status s${String(answer.status)[0]}` }, String(answer.status)), ` ${answer.statusText} · ${took} ms · ${bytes(content.size)}`,
        answer.redirected && h("span", {}, " · after a redirect")),
      h("details", {}, h("summary", {}, "Headers"), h("pre", {}, [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n"))),
      await shownBody(content),
    ] };
  } catch {
    return { done: false, shown: [problemBox({ message: navigator.onLine ? "No answer came, or one that this page may not read." : "You are offline." })] };
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
  const found = new Map(api.tags.map(({ name, description }) => [name, { name, description, operations: [] }]));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => methods[one])) found.get(methods[method].tags[0]).operations.push({ path, method, said: methods[method] });
  }
  return [...found.values()];
}

/** Every error that the document knows, by status and code, with the sentence of its example. */
function errorTable(all) {
  const answers = [...all.flatMap(({ said }) => Object.entries(said.responses)).filter(([status]) => status >= "400"), ...general()];
  const codes = new Map();
  for (const [status, { content }] of answers) {
    for (const [code, { value }] of Object.entries(content["application/json"].examples ?? {})) codes.set(code, { status, message: value.message });
  }
  const rows = [...codes].sort(([one, a], [other, b]) => a.status.localeCompare(b.status) || one.localeCompare(other));
  return h("section", { id: "codes" }, h("h2", {}, "Error codes"),
    h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Error codes" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Status", "Code", "Such as"].map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, rows.map(([code, { status, message }]) => h("tr", {},
        h("td", {}, h("b", { class: `status s${status[0]}` }, status)), h("td", {}, h("code", {}, code)), h("td", {}, message)))))));
}

/** Answers that belong to no route, by their status: what stands with each of them in the text above. */
function general() {
  const statuses = { NOT_FOUND: "404", METHOD_NOT_ALLOWED: "405", FORBIDDEN: "403" };
  return Object.values(api.components.responses).map((answer) => [statuses[answer.description] ?? "", answer]).filter(([status]) => status);
}

const wide = matchMedia("(min-width: 60.01rem)");

/** What the page holds: beside it, or on a small screen folded up above it. */
function contents(headings, all) {
  const link = (id, ...words) => h("li", {}, h("a", { href: `#${id}` }, words));
  const made = h("details", { open: wide.matches }, h("summary", {}, "Contents"),
    h("h2", {}, "Guide"), h("ul", {}, headings.map((one) => link(one.id, one.textContent))),
    all.map(({ name, operations }) => [h("h2", {}, name), h("ul", {}, operations.map(({ path, method }) =>
      link(slug(method, path) || method, h("span", { class: `method ${method}` }, method.toUpperCase()), " ", path)))]),
    h("h2", {}, "Errors"), h("ul", {}, link("codes", "Error codes")));
  wide.addEventListener("change", () => (made.open = wide.matches));
  made.addEventListener("click", (event) => event.target.closest("a") && (made.open = wide.matches));
  return made;
}

function show() {
  $("#version").textContent = api.info.version;
  const all = groups();
  const guide = blocks(api.info.description, (title) => slug("about", title));
  const headings = guide.filter((one) => one.tagName === "H2");
  $("#contents").replaceChildren(contents(headings, all));
  $("#manual").replaceChildren(
    h("h1", {}, `${api.info.title} API`),
    h("p", { class: "note" }, "Base address: ", h("code", {}, root.href)),
    h("div", { class: "guide" }, guide),
    ...all.map(({ name, description, operations }) => h("section", {}, h("h2", {}, name), h("p", { class: "note" }, inline(description ?? "")), operations.map(operation))),
    errorTable(all.flatMap(({ operations }) => operations)));
  $("#manual").removeAttribute("aria-busy");
  showSession(all.some(({ operations }) => operations.some(({ said }) => demanded(said))));
}

/** Who asks, where the stage wants to know: by the issuer's page, or by a token from elsewhere. */
function showSession(needed) {
  const place = $("#who");
  if (!needed) return place.replaceChildren();
  const fail = (failure) => place.append(h("span", { class: "bad", role: "alert" }, failure.message));
  if (canSignIn && token()) {
    const leave = () => signOut().then(() => showSession(needed), fail);
    return place.replaceChildren(h("span", {}, person()), button("Sign out", leave, { class: "link" }));
  }
  if (canSignIn) return place.replaceChildren(button("Sign in", () => signIn().catch(fail), { class: "primary" }));
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: false, value: token(), oninput: () => setToken(input.value) });
  return place.replaceChildren(h("label", {}, "Token", input));
}

/** Opens the route that the address names. */
function goTo() {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!found) return;
  if (found.tagName === "DETAILS") found.open = true;
  found.scrollIntoView();
}

for (const link of document.querySelectorAll("a[data-to]")) link.href = new URL(link.dataset.to, root);
addEventListener("hashchange", goTo);

try {
  api = (await call("GET", "openapi.json")).data;
  read = reader(api);
  show();
  goTo();
} catch (problem) {
  $("#manual").replaceChildren(problemBox(problem, button("Try again", () => location.reload())));
}
