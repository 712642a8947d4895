import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { clearStore, getStored, storeItem } from "../../chalicelib/web/item-store.js";
import { deleteItemNow, patchItem } from "../../chalicelib/web/item-writes.js";

const AT = "2026-01-31T12:00:00.000Z";
const item = (fields) => ({ id: "item-1", version: 3, createdAt: AT, updatedAt: AT, title: "Vase", ...fields });
const mismatch = () => json({ error: "VERSION_MISMATCH", message: "It has changed." }, { status: 412 });
const respondWith = (...responses) => stubFetch(() => responses.shift());

describe("item-writes", () => {
  beforeEach(() => {
    clearStore();
    storeItem(item());
  });

  test("an item of a list is changed only in its version", async () => {
    const requests = respondWith(json(item({ version: 4, title: "Bowl" }), { headers: { ETag: '"4"' } }));
    await patchItem(item(), { title: "Bowl" });
    assert.deepEqual([requests[0].init.method, requests[0].init.headers["If-Match"]], ["PATCH", '"3"']);
    assert.equal(requests[0].init.body, '{"title":"Bowl"}');
    assert.deepEqual([getStored("item-1").item.title, getStored("item-1").etag], ["Bowl", '"4"']);
  });

  test("another change of other fields does not matter", async () => {
    const requests = respondWith(
      mismatch(), json(item({ version: 4, price: 5 }), { headers: { ETag: '"4"' } }),
      json(item({ version: 5, price: 5, title: "Bowl" })),
    );
    await patchItem(item(), { title: "Bowl" });
    assert.equal(requests[2].init.headers["If-Match"], '"4"');
  });

  test("another change of the same field is a conflict", async () => {
    respondWith(mismatch(), json(item({ version: 4, title: "Jar" })));
    await assert.rejects(patchItem(item(), { title: "Bowl" }), { status: 412, message: /Someone else/ });
    assert.equal(getStored("item-1").item.title, "Jar");
  });

  test("an item that is gone counts as deleted", async () => {
    respondWith(json({ error: "ITEM_NOT_FOUND", message: "No item." }, { status: 404 }));
    await deleteItemNow(item());
  });

  test("an object is replaced, not merged", async () => {
    const before = item({ size: { mm: 5, deep: { a: 1, b: 2 } } });
    const requests = respondWith(json(item({ version: 4 })));
    await patchItem(before, { size: { cm: 1, deep: { b: 3 } } });
    assert.deepEqual(JSON.parse(requests[0].init.body), { size: { mm: null, cm: 1, deep: { a: null, b: 3 } } });
  });
});
