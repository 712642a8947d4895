// The API reference: the OpenAPI document as a page, with a form to try each operation.

import { call, resolveLinks } from "./api.js";
import { $, button, h, problemBox, targetOf } from "./dom.js";
import { operatorsOf } from "./deep-object-inputs.js";
import { renderBlocks, renderInline } from "./markdown.js";
import { exampleLabel, exampleText, requestForm, requiresSignIn, statusBadge } from "./request-form.js";
import { SchemaView } from "./schema-view.js";
import { apiRoot, canSignIn, setToken, signIn, signOut, token, userName } from "./oidc-session.js";

/** @type {any} */
let openapi;
/** @type {SchemaView} */
let schemas;

/** Return the id of a heading or an operation. @param {...string} parts */
const slug = (...parts) => parts.join("-").replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "").toLowerCase();

/** @param {Operation} operation */
function operationSection(operation) {
  const { path, method, spec } = operation;
  const section = h("details", { class: "operation", id: slug(method, path) },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", { class: "path" }, path),
      h("span", { class: "what" }, spec.summary), requiresSignIn(spec) && h("span", { class: "lock" }, "sign-in")));
  return filledWhenOpened(section, () => operationDetails(operation));
}

/**
 * Create the content of a section when it is opened, so that the page is shown at once.
 * @param {HTMLDetailsElement} section
 * @param {() => HTMLElement} content
 */
function filledWhenOpened(section, content) {
  section.addEventListener("toggle", () => {
    if (section.open && section.children.length === 1) section.append(content());
  });
  return section;
}

/** @param {Operation} operation */
function operationDetails(operation) {
  const { spec } = operation;
  const responses = Object.entries(spec.responses);
  const bodies = Object.entries(spec.requestBody?.content ?? {});
  const boxes = (/** @type {boolean} */ areErrors) =>
    responses.filter(([status]) => isError(status) === areErrors).map(([status, one]) => responseBox(status, one));
  return h("div", { class: "columns" },
    h("div", {},
      spec.description && h("p", {}, renderInline(spec.description)),
      parameterList(spec.parameters ?? []),
      spec.requestBody && h("h4", {}, "Body"),
      bodies.map(([type, content]) => bodyDescription(type, content)),
      h("h4", {}, "Responses"), boxes(false),
      h("h4", {}, "Errors"), boxes(true)),
    requestForm(operation, schemas));
}

/** Return an event that is sent to webhooks. @param {[string, any]} event */
function eventSection([type, { post }]) {
  const { schema, examples } = post.requestBody.content["application/json"];
  const section = h("details", { class: "event", id: slug("event", type) },
    h("summary", {}, h("code", { class: "path" }, type), h("span", { class: "what" }, post.summary)));
  return filledWhenOpened(section, () => h("div", { class: "columns" },
    h("div", {}, parameterList(post.parameters), h("h4", {}, "Body"), schemas.propertyList(schema)),
    h("div", {}, h("h4", {}, "Example"), exampleList(Object.entries(examples)))));
}

/** @param {string} status */
const isError = (status) => status >= "400";

/** @param {any[]} parameters */
function parameterList(parameters) {
  if (parameters.length === 0) return null;
  return [h("h4", {}, "Parameters"), h("ul", { class: "schema" }, parameters.map(parameterItem))];
}

/** @param {any} parameter */
function parameterItem({ name, in: place, schema, required, style, description = schema.description, example }) {
  return h("li", {},
    h("code", {}, name), " ", h("span", { class: "type" }, `${place}, ${schemas.describe(schema)}`),
    required && h("span", { class: "required" }, "required"),
    description && h("p", { class: "note" }, renderInline(description)),
    style === "deepObject" && operatorList(schema.properties),
    example !== undefined && h("p", { class: "note" }, "Example: ", h("code", {}, String(example))));
}

/** Return the fields of a parameter that is an object, each with its operators. @param {Record<string, any>} fields */
function operatorList(fields) {
  return h("ul", { class: "schema" }, Object.entries(fields).map(([field, schema]) =>
    h("li", {}, h("code", {}, field), " ", h("span", { class: "type" }, operatorsOf(schema, schemas).join(", ")))));
}

/** @param {string} type @param {any} content */
function bodyDescription(type, { schema }) {
  const { description } = schemas.resolve(schema);
  return h("div", { class: "body" },
    h("p", {}, h("code", {}, type), description && [": ", renderInline(description)]), schemas.propertyList(schema));
}

/** @param {string} status @param {any} response */
function responseBox(status, { description, headers = {}, content = {} }) {
  const [type, media] = Object.entries(content)[0] ?? ["", {}];
  return h("details", { class: "response" },
    h("summary", {}, statusBadge(status), " ", isError(status) ? codeList(description) : renderInline(description),
      !type.includes("json") && h("span", { class: "type" }, ` ${type}`)),
    headerList(headers),
    !isError(status) && media.schema && schemas.propertyList(media.schema),
    exampleList(Object.entries(media.examples ?? {})));
}

/** @param {string} codes */
const codeList = (codes) => codes.split(", ").map((code) => [h("code", {}, code), " "]);

const HEADERS_OF_ALL = new Set(["X-Content-Type-Options", "X-Request-Id"]);

/** @param {Record<string, any>} headers */
function headerList(headers) {
  const entries = Object.entries(headers).filter(([name]) => !HEADERS_OF_ALL.has(name));
  if (entries.length === 0) return null;
  return h("ul", { class: "schema" }, entries.map(([name, header]) => {
    const { description = "" } = schemas.resolve(header);
    return h("li", {}, h("code", {}, name), " ", h("span", { class: "type" }, "header"),
      h("p", { class: "note" }, renderInline(description)));
  }));
}

/** @param {[string, any][]} examples */
function exampleList(examples) {
  const hasNames = examples.length > 1;
  return examples.map(([name, { value }]) => [hasNames && exampleHeading(name), h("pre", {}, exampleText(value))]);
}

/** @param {string} name */
function exampleHeading(name) {
  const label = exampleLabel(name);
  return h("p", { class: "example" }, label === name ? h("code", {}, name) : label);
}

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Return the operations by their tags. @returns {OperationGroup[]} */
function groupsOf() {
  /** @type {Map<string, OperationGroup>} */
  const groups = new Map(openapi.tags.map((/** @type {any} */ tag) => [tag.name, { ...tag, operations: [] }]));
  for (const [path, operations] of Object.entries(openapi.paths)) {
    for (const method of METHODS.filter((one) => operations[one])) {
      const spec = operations[method];
      groups.get(spec.tags[0])?.operations.push({ path, method, spec });
    }
  }
  return [...groups.values()];
}

/**
 * Statuses of the responses that belong to no operation, by the error code that is their description.
 * @type {Record<string, string>}
 */
const GENERAL_STATUSES = { NOT_FOUND: "404", METHOD_NOT_ALLOWED: "405", FORBIDDEN: "403" };

/** Return status and response of those that belong to no operation. @returns {[string, any][]} */
function generalResponses() {
  const responses = /** @type {any[]} */ (Object.values(openapi.components.responses));
  return responses.map((response) => [GENERAL_STATUSES[response.description] ?? "", response]);
}

/** Return a table of all error codes, each with the message of an example. @param {Operation[]} operations */
function errorTable(operations) {
  const responses = [...operations.flatMap(({ spec }) => Object.entries(spec.responses)), ...generalResponses()];
  /** @type {Map<string, {status: string, message: string}>} */
  const codes = new Map();
  for (const [status, { content }] of responses.filter(([one]) => isError(one))) {
    for (const [code, { value }] of examplesOf(content)) codes.set(code, { status, message: value.message });
  }
  const rows = [...codes].sort(([one, a], [other, b]) => a.status.localeCompare(b.status) || one.localeCompare(other));
  return h("section", { id: "codes" }, h("h2", {}, "Error codes"),
    h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Error codes" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Status", "Code", "Example"].map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, rows.map(([code, { status, message }]) => h("tr", {},
        h("td", {}, statusBadge(status)), h("td", {}, h("code", {}, code)), h("td", {}, message)))))));
}

/** @param {any} content @returns {[string, any][]} */
const examplesOf = (content) => Object.entries(content["application/json"].examples ?? {});

const wideScreen = matchMedia("(min-width: 60.01rem)");

/**
 * Return the table of contents, which is folded on a small screen.
 * @param {HTMLElement[]} headings
 * @param {OperationGroup[]} groups
 */
function tableOfContents(headings, groups) {
  const link = (/** @type {string} */ id, /** @type {Child[]} */ ...text) =>
    h("li", {}, h("a", { href: `#${id}` }, ...text));
  const operationLink = (/** @type {Operation} */ { path, method }) =>
    link(slug(method, path), h("span", { class: `method ${method}` }, method.toUpperCase()), " ", path);
  const element = h("details", { open: wideScreen.matches }, h("summary", {}, "Contents"),
    h("h2", {}, "Guide"), h("ul", {}, headings.map((one) => link(one.id, one.textContent))),
    groups.map(({ name, operations }) => [h("h2", {}, name), h("ul", {}, operations.map(operationLink))]),
    h("h2", {}, "Events"), h("ul", {}, Object.keys(openapi.webhooks).map((type) => link(slug("event", type), type))),
    h("h2", {}, "Errors"), h("ul", {}, link("codes", "Error codes")));
  const reset = () => (element.open = wideScreen.matches);
  wideScreen.addEventListener("change", reset);
  element.addEventListener("click", (event) => targetOf(event).closest("a") && reset());
  return element;
}

function showDocument() {
  const { info } = openapi;
  const groups = groupsOf();
  const operations = groups.flatMap((group) => group.operations);
  const guide = renderBlocks(info.description, (title) => slug("about", title));
  const headings = guide.filter((one) => one.tagName === "H2");
  const sections = groups.map((group) => h("section", {}, h("h2", {}, group.name),
    h("p", { class: "note" }, renderInline(group.description ?? "")), group.operations.map(operationSection)));
  $("#version").textContent = info.version;
  $("#contents").replaceChildren(tableOfContents(headings, groups));
  $("#manual").replaceChildren(
    h("h1", {}, `${info.title} API`), h("p", { class: "note" }, "Base address: ", h("code", {}, apiRoot.href)),
    h("div", { class: "guide" }, guide), ...sections,
    h("section", {}, h("h2", {}, "Events"), h("p", { class: "note" }, "What is sent to webhooks."),
      Object.entries(openapi.webhooks).map(eventSection)),
    errorTable(operations));
  $("#manual").removeAttribute("aria-busy");
  if (operations.some(({ spec }) => requiresSignIn(spec))) showSession();
}

/** Show who is signed in, or how to sign in. */
function showSession() {
  const place = $("#session");
  const showFailure = (/** @type {Error} */ { message }) =>
    place.append(h("span", { class: "error", role: "alert" }, message));
  if (canSignIn && token()) {
    const leave = () => signOut().then(showSession, showFailure);
    place.replaceChildren(h("span", {}, userName()), button("Sign out", leave, { class: "link" }));
  } else if (canSignIn) {
    place.replaceChildren(button("Sign in", () => signIn().catch(showFailure), { class: "primary" }));
  } else {
    const oninput = () => setToken(input.value);
    const input = h("input", { type: "password", autocomplete: "off", spellcheck: false, value: token(), oninput });
    place.replaceChildren(h("label", {}, "Token", input));
  }
}

/** Open the part of the page that the address names. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

resolveLinks();
addEventListener("hashchange", openTarget);

try {
  openapi = (await call("GET", "openapi.json")).data;
  schemas = new SchemaView(openapi);
  showDocument();
  openTarget();
} catch (problem) {
  const tryAgain = button("Try again", () => location.reload());
  $("#manual").replaceChildren(problemBox(/** @type {Error} */ (problem), tryAgain));
}
