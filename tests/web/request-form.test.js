import assert from "node:assert/strict";
import { test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { SchemaReader } from "../../chalicelib/web/json-schema.js";
import {
  curlCommand, exampleLabel, requestForm, requestUrl, requiresSignIn,
} from "../../chalicelib/web/request-form.js";
import { apiRoot, setToken } from "../../chalicelib/web/oidc-session.js";

const URL_OF_ITEMS = new URL("https://api.example/stage/items");

test("parameters are filled into the path and the query", () => {
  const url = requestUrl("/items/{item_id}/image", [
    { name: "item_id", in: "path", value: "a/b" }, { name: "size", in: "query", value: "200x200" },
    { name: "empty", in: "query", value: "" }, { name: "If-Match", in: "header", value: "x" },
  ]);
  assert.equal(url.href, `${apiRoot.href}items/a%2Fb/image?size=200x200`);
});

test("a path parameter without a value stays", () => {
  const url = requestUrl("/items/{item_id}", [{ name: "item_id", in: "path", value: "" }]);
  const command = curlCommand({ method: "GET", url, headers: {} }, false);
  assert.equal(command, `curl -i '${apiRoot.href}items/{item_id}'`);
});

test("curl commands have a method, headers and a body", () => {
  const request = { method: "POST", url: URL_OF_ITEMS, headers: { "Content-Type": "application/json" }, body: "{}" };
  assert.equal(curlCommand(request, true), [
    "curl -i -X POST 'https://api.example/stage/items'", '-H "Authorization: Bearer $TOKEN"',
    "-H 'Content-Type: application/json'", "--data-binary '{}'",
  ].join(" \\\n  "));
});

test("curl commands are quoted for a shell", () => {
  const request = { method: "POST", url: URL_OF_ITEMS, headers: {}, body: `{"title": "Ann's $(rm)"}` };
  assert.ok(curlCommand(request, false).endsWith(`--data-binary '{"title": "Ann'\\''s $(rm)"}'`));
});

test("names of examples become words, codes do not", () => {
  assert.equal(exampleLabel("withPictureReady"), "With picture ready");
  assert.equal(exampleLabel("ITEM_NOT_FOUND"), "ITEM_NOT_FOUND");
});

test("an empty security requirement makes sign-in optional", () => {
  assert.equal(requiresSignIn({}), false);
  assert.equal(requiresSignIn({ security: [] }), false);
  assert.equal(requiresSignIn({ security: [{ token: [] }] }), true);
  assert.equal(requiresSignIn({ security: [{ token: [] }, {}] }), false);
});

const CREATE = {
  path: "/items", method: "post",
  spec: {
    parameters: [{ name: "Idempotency-Key", in: "header", schema: { type: "string" } }],
    requestBody: { content: { "application/json": { examples: { vase: { value: { title: "Vase" } } } } } },
    security: [{ token: [] }],
  },
};

/** Send a form, and wait until the response is shown. */
async function submit(form) {
  form.dispatchEvent(new Event("submit", { cancelable: true }));
  for (let turn = 0; turn < 20 && form.querySelector(".primary").disabled; turn += 1) await new Promise(setImmediate);
  return form.querySelector(".result").textContent;
}

test("a request is sent, and its response shown", async () => {
  const requests = stubFetch(() => json({ id: "item-1" }, { status: 201, statusText: "Created" }));
  const form = requestForm(CREATE, new SchemaReader({}));
  assert.match(form.querySelector(".curl").textContent, /"title": "Vase"/);
  const result = await submit(form);
  assert.match(result, /^201 Created · \d+ ms · 15 bytes/);
  assert.match(result, /"id": "item-1"/);
  assert.deepEqual(JSON.parse(requests[0].init.body), { title: "Vase" });
  assert.match(requests[0].init.headers["Idempotency-Key"], /^[0-9a-f]{32}$/);
});

test("the next request has a new key unless one was typed", async () => {
  const requests = stubFetch(() => json({}, { status: 201 }));
  const form = requestForm(CREATE, new SchemaReader({}));
  await submit(form);
  await submit(form);
  form.querySelector("input").value = "mine";
  await submit(form);
  await submit(form);
  const keys = requests.map(({ init }) => init.headers["Idempotency-Key"]);
  assert.notEqual(keys[0], keys[1]);
  assert.deepEqual(keys.slice(2), ["mine", "mine"]);
});

test("a failed request keeps its key", async () => {
  const requests = stubFetch(() => json({ error: "INTERNAL_ERROR" }, { status: 500 }));
  const form = requestForm(CREATE, new SchemaReader({}));
  await submit(form);
  await submit(form);
  assert.equal(requests[0].init.headers["Idempotency-Key"], requests[1].init.headers["Idempotency-Key"]);
});

test("the form says whether a token is needed", () => {
  setToken("");
  const form = requestForm(CREATE, new SchemaReader({}));
  const note = form.querySelector(".note");
  assert.equal(note.hidden, false);
  setToken("a.b.c");
  assert.equal(note.hidden, true);
  assert.match(form.querySelector(".curl").textContent, /Bearer \$TOKEN/);
  setToken("");
});

const LIST = {
  path: "/items", method: "get",
  spec: {
    parameters: [{
      name: "filter", in: "query", style: "deepObject",
      schema: {
        type: "object",
        properties: {
          price: { anyOf: [{ type: "number" }, { type: "object", properties: { eq: {}, gte: {} } }] },
          tags: { type: "object", properties: { has: {} } },
        },
      },
    }],
  },
};

/** Fill in a row of filters. */
function fillIn(row, field, operator, value) {
  const [fields, operators] = row.querySelectorAll("select");
  fields.value = field;
  fields.dispatchEvent(new Event("change"));
  operators.value = operator;
  row.querySelector("input").value = value;
}

test("filters become parameters with brackets", async () => {
  const requests = stubFetch(() => json({ items: [] }));
  const form = requestForm(LIST, new SchemaReader({}));
  form.querySelector(".filters > button").click();
  form.querySelector(".filters > button").click();
  const [first, second] = form.querySelectorAll(".filter");
  fillIn(first, "price", "gte", "5");
  fillIn(second, "tags", "has", "a b");
  await submit(form);
  assert.equal(decodeURIComponent(requests[0].url), `${apiRoot.href}items?filter[price][gte]=5&filter[tags][has]=a+b`);
});

test("a filter by a value has no operator", async () => {
  const requests = stubFetch(() => json({ items: [] }));
  const form = requestForm(LIST, new SchemaReader({}));
  await submit(form);
  fillIn(form.querySelector(".filter"), "price", "eq", "5");
  await submit(form);
  assert.deepEqual(requests.map(({ url }) => decodeURIComponent(url)),
    [`${apiRoot.href}items`, `${apiRoot.href}items?filter[price]=5`]);
});

test("only the operators of the field are offered", () => {
  const row = requestForm(LIST, new SchemaReader({})).querySelector(".filter");
  const [, operators] = row.querySelectorAll("select");
  fillIn(row, "price", "eq", "");
  assert.deepEqual([...operators.children].map((one) => one.textContent), ["eq", "gte"]);
  fillIn(row, "tags", "has", "");
  assert.deepEqual([...operators.children].map((one) => one.textContent), ["has"]);
});
