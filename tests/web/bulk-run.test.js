import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { BulkRun, writeAll } from "../../chalicelib/web/bulk-run.js";
import { clearStore, getStored, storeItem } from "../../chalicelib/web/item-store.js";
import { patchItem, patchOf } from "../../chalicelib/web/item-writes.js";
import { changedItem } from "../../chalicelib/web/set-field.js";

const AT = "2026-01-31T12:00:00.000Z";
const itemOf = (id) => ({ id, version: 1, createdAt: AT, updatedAt: AT, title: `Title ${id}` });
const idsOf = (count) => Array.from({ length: count }, (_, index) => `item-${String(index).padStart(3, "0")}`);
const notices = () => document.querySelector("#tray .notices");
const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
};
const operationsIn = ({ init }) => JSON.parse(init.body).operations;
const succeeded = ({ id }) => ({ id, status: 200, version: 2 });
const refused = ({ id }, status, error) => ({ id, status, error: { error, message: `${error}.` } });

/** Answer batches by the result of each operation. */
const respond = (resultOf) => (_, init) => json({ results: JSON.parse(init.body).operations.map(resultOf) });

/** Set a field of items, whose changes are kept in the store as set-field.js does it. */
const SETTING = {
  running: "Setting",
  done: "Set",
  operationOf: (item) => ({ op: "patch", body: patchOf(item, { sold: true }) }),
  onWritten: (all) => all.forEach(({ item, version }) => storeItem(changedItem(item, { sold: true }, version))),
  writeAlone: (item) => patchItem(item, { sold: true }),
};

function seen(ids) {
  ids.map(itemOf).forEach((item) => storeItem(item));
  return new Map(ids.map((id) => [id, itemOf(id)]));
}

describe("bulk-run", () => {
  beforeEach(() => {
    clearStore();
    mock.timers.enable({ apis: ["setTimeout"] });
  });

  afterEach(() => {
    mock.timers.reset();
    mock.restoreAll();
    notices().replaceChildren();
  });

  test("a request has up to 100 operations", async () => {
    const ids = idsOf(230);
    const progress = [];
    const requests = stubFetch(respond(succeeded));
    const result = await writeAll(ids, SETTING, seen(ids), { onProgress: (done) => progress.push(done) });
    assert.deepEqual([result, progress.at(-1)], [{ failed: [], left: [] }, 230]);
    assert.deepEqual(requests.map((one) => operationsIn(one).length), [100, 100, 30]);
    assert.deepEqual(operationsIn(requests[0])[0], { op: "patch", body: { sold: true }, id: ids[0], ifMatch: '"1"' });
    assert.deepEqual([getStored(ids[0]).item.sold, getStored(ids[0]).item.version], [true, 2]);
  });

  test("large values are sent in smaller requests", async () => {
    const ids = idsOf(3);
    const large = { ...SETTING, operationOf: () => ({ op: "patch", body: { text: "x".repeat(1024 * 1024) } }) };
    const requests = stubFetch(respond(succeeded));
    await writeAll(ids, large, seen(ids));
    assert.deepEqual(requests.map((one) => operationsIn(one).length), [1, 1, 1]);
  });

  test("failures do not stop the others, and are listed", async () => {
    const ids = idsOf(10);
    const requests = stubFetch(respond((one) => (one.id === ids[4] ? refused(one, 413, "TOO_LARGE") : succeeded(one))));
    await new BulkRun(SETTING, seen(ids)).run(ids);
    assert.match(notices().textContent, /Set: 9 items · 1 failed.*Title item-004 TOO_LARGE\./);
    notices().querySelector("button").click();
    await settle();
    assert.deepEqual(operationsIn(requests[1]).map(({ id }) => id), [ids[4]]);
  });

  test("operations that were not tried are sent again", async () => {
    mock.method(Math, "random", () => 0);
    const ids = idsOf(2);
    let isFirst = true;
    const requests = stubFetch(respond((one) => {
      const isUntried = one.id === ids[1] && isFirst;
      if (isUntried) isFirst = false;
      return isUntried ? refused(one, 503, "NOT_TRIED") : succeeded(one);
    }));
    const run = writeAll(ids, SETTING, seen(ids));
    await settle();
    mock.timers.tick(1000);
    assert.deepEqual(await run, { failed: [], left: [] });
    assert.deepEqual(requests.map((one) => operationsIn(one).length), [2, 1]);
  });

  test("a repeated request has the same idempotency key", async () => {
    const ids = idsOf(1);
    const responses = [
      json({ error: "THROTTLED", message: "Too many." }, { status: 429, headers: { "Retry-After": "7" } }),
      json({ results: [succeeded({ id: ids[0] })] }),
    ];
    const requests = stubFetch(() => responses.shift());
    const run = writeAll(ids, SETTING, seen(ids));
    await settle();
    mock.timers.tick(6999);
    await settle();
    assert.equal(requests.length, 1);
    mock.timers.tick(5000);
    await run;
    const [first, second] = requests.map(({ init }) => init.headers["Idempotency-Key"]);
    assert.match(first, /^[0-9a-f]{32}$/);
    assert.equal(first, second);
  });

  test("an item that has changed is compared, and reported if it conflicts", async () => {
    const ids = idsOf(2);
    const changed = (id, fields) => ({ ...itemOf(id), version: 5, ...fields });
    const now = { [ids[0]]: changed(ids[0], { price: 7 }), [ids[1]]: changed(ids[1], { sold: false }) };
    stubFetch((url, init) => {
      if (init.method === "POST") return respond((one) => refused(one, 412, "VERSION_MISMATCH"))(url, init);
      const id = url.pathname.split("/").pop();
      if (init.method === "GET") return json(now[id], { headers: { ETag: '"5"' } });
      if (init.headers["If-Match"] !== '"5"') return json({ error: "VERSION_MISMATCH" }, { status: 412 });
      return json({ ...now[id], sold: true, version: 6 });
    });
    const { failed } = await writeAll(ids, SETTING, seen(ids));
    const problems = failed.map(({ id, problem }) => [id, problem.message]);
    assert.deepEqual(problems, [[ids[1], "Someone else changed this field."]]);
    assert.equal(getStored(ids[0]).item.sold, true);
  });

  test("an item that is gone counts as deleted", async () => {
    const ids = idsOf(1);
    const gone = [];
    stubFetch(respond((one) => refused(one, 404, "ITEM_NOT_FOUND")));
    const action = { ...SETTING, operationOf: () => ({ op: "delete" }), onWritten: (all) => gone.push(...all) };
    assert.deepEqual(await writeAll(ids, action, seen(ids)), { failed: [], left: [] });
    assert.deepEqual(gone.map(({ item }) => item.id), ids);
  });

  test("after a stop the rest is left", async () => {
    const ids = idsOf(500);
    const stopper = new AbortController();
    stubFetch((...request) => {
      stopper.abort(new Error("Stopped"));
      return respond(succeeded)(...request);
    });
    const { left } = await writeAll(ids, SETTING, seen(ids), { signal: stopper.signal });
    assert.deepEqual(left, ids.slice(200));
  });

  test("the notice says that the page has to stay open", async () => {
    const ids = idsOf(1);
    let finish;
    stubFetch(() => new Promise((resolve) => (finish = resolve)));
    const ended = new BulkRun(SETTING, seen(ids)).run(ids);
    await settle();
    assert.match(notices().textContent, /Setting: 1 item.*Keep this page open.*0 of 1/);
    const leaving = new Event("beforeunload", { cancelable: true });
    dispatchEvent(leaving);
    assert.equal(leaving.defaultPrevented, true);
    finish(json({ results: [succeeded({ id: ids[0] })] }));
    await ended;
    const leavingLater = new Event("beforeunload", { cancelable: true });
    dispatchEvent(leavingLater);
    assert.equal(leavingLater.defaultPrevented, false);
  });
});
