import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { json, setOnline, stubFetch } from "./browser.js";
import { Problem, call, ifMatch, itemPath, newIdempotencyKey } from "../../chalicelib/web/api.js";
import { parseJson, toJson } from "../../chalicelib/web/exact-json.js";
import { apiRoot, setToken } from "../../chalicelib/web/oidc-session.js";

describe("api", () => {
  beforeEach(() => {
    setToken("");
    setOnline(true);
  });

  /** Return the problem that a call fails with if the API gives a response. */
  async function problemOf(response) {
    stubFetch(() => response);
    const failure = await call("GET", "items").catch((problem) => problem);
    assert.ok(failure instanceof Problem);
    return failure;
  }

  test("paths are below the API's root", async () => {
    const requests = stubFetch(() => json({}));
    await call("GET", "items?limit=1");
    assert.equal(requests[0].url.href, `${apiRoot.href}items?limit=1`);
  });

  test("a value is sent as JSON with every digit", async () => {
    const requests = stubFetch(() => json({}));
    await call("POST", "items", { body: parseJson('{"n": 1.10}'), headers: { "Idempotency-Key": "k" } });
    const { method, body, headers } = requests[0].init;
    assert.equal(method, "POST");
    assert.equal(body, '{"n":1.10}');
    assert.deepEqual(headers, { "Idempotency-Key": "k", "Content-Type": "application/json" });
  });

  test("a text is sent as it is with its type", async () => {
    const requests = stubFetch(() => json({}));
    await call("POST", "imports", { body: "{}\n{}", type: "application/x-ndjson" });
    assert.equal(requests[0].init.body, "{}\n{}");
    assert.equal(requests[0].init.headers["Content-Type"], "application/x-ndjson");
  });

  test("requests without a body have no content type", async () => {
    const requests = stubFetch(() => json({}));
    await call("GET", "items");
    assert.deepEqual(requests[0].init.headers, {});
    assert.equal(requests[0].init.cache, "no-store");
  });

  test("the session's token authorizes requests", async () => {
    setToken("Bearer  a.b.c ");
    const requests = stubFetch(() => json({}));
    await call("GET", "items");
    assert.equal(requests[0].init.headers.Authorization, "Bearer a.b.c");
  });

  test("responses keep every digit and have an entity tag", async () => {
    stubFetch(() => new Response('{"n": 0.10}', { status: 201, headers: { ETag: '"3"' } }));
    const { data, etag, status } = await call("GET", "items/1");
    assert.equal(toJson(data), '{"n":0.10}');
    assert.deepEqual([etag, status], ['"3"', 201]);
  });

  test("an API error becomes a problem with its fields", async () => {
    const details = [{ path: "$.a", message: "a is required" }];
    const body = { error: "VALIDATION_FAILED", message: "The item is invalid.", requestId: "r-1", details };
    const { status, error, message, requestId, details: shown } = await problemOf(json(body, { status: 400 }));
    assert.deepEqual({ status, error, message, requestId, details: shown }, { status: 400, ...body });
  });

  test("a response of API Gateway itself gets a message", async () => {
    assert.equal((await problemOf(json({ Message: "Forbidden" }, { status: 403 }))).message, "Forbidden");
    assert.match((await problemOf(new Response("", { status: 504 }))).message, /took too long/);
    assert.match((await problemOf(new Response("<html>", { status: 418 }))).message, /status 418/);
  });

  test("the request id is taken from a header if need be", async () => {
    const response = new Response("", { status: 502, headers: { "X-Request-Id": "r-2", "Retry-After": "7" } });
    const problem = await problemOf(response);
    assert.deepEqual([problem.requestId, problem.retryAfter], ["r-2", 7]);
  });

  test("a page of another server is not an answer", async () => {
    const problem = await problemOf(new Response("<html>Welcome to our Wi-Fi", { status: 200 }));
    assert.match(problem.message, /not from the server/);
    assert.equal(problem.status, 0);
  });

  test("no response is a problem that says if one is offline", async () => {
    stubFetch(() => Promise.reject(new TypeError("Failed to fetch")));
    await assert.rejects(call("GET", "items"), { message: "The server does not respond.", status: 0 });
    setOnline(false);
    await assert.rejects(call("GET", "items"), { message: "You are offline." });
  });

  test("a rejected call is not repeated without a refresh token", async () => {
    setToken("a.b.c");
    const requests = stubFetch(() => json({ error: "UNAUTHORIZED", message: "No." }, { status: 401 }));
    await assert.rejects(call("GET", "items"), { status: 401 });
    assert.equal(requests.length, 1);
  });

  test("temporary problems may be tried again", () => {
    const isTemporary = (status) => new Problem({ message: "", status }).isTemporary;
    assert.deepEqual([0, 429, 500, 503].filter(isTemporary), [0, 429, 500, 503]);
    assert.deepEqual([400, 401, 403, 404, 409, 412, 413].filter(isTemporary), []);
  });

  test("a sign-in is needed after 401, and 403 without a code", () => {
    const needsSignIn = (status, error) => new Problem({ message: "", status, error }).needsSignIn;
    assert.equal(needsSignIn(401, "UNAUTHORIZED"), true);
    assert.equal(needsSignIn(403, ""), true);
    assert.equal(needsSignIn(403, "FORBIDDEN"), false);
  });

  test("writes are conditional if the entity tag is known", () => {
    assert.deepEqual(ifMatch('"1"'), { "If-Match": '"1"' });
    assert.deepEqual(ifMatch(null), {});
  });

  test("ids are escaped in paths", () => {
    assert.equal(itemPath("a/../b?"), "items/a%2F..%2Fb%3F");
  });

  test("keys are random and long", () => {
    const keys = new Set(Array.from({ length: 100 }, newIdempotencyKey));
    assert.equal(keys.size, 100);
    for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
  });
});
