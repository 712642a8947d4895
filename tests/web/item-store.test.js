import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import {
  clearStore, forgetUrls, getStored, onItemStored, pendingDeletes, storeItem,
} from "../../chalicelib/web/item-store.js";

describe("item-store", () => {
  const AT = "2026-01-31T12:00:00.000Z";
  const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, ...fields });

  beforeEach(clearStore);

  test("the newest version of an item is stored", () => {
    storeItem(item({ version: 2, title: "new" }), '"2"');
    const kept = storeItem(item({ version: 1, title: "old" }), '"1"');
    assert.deepEqual([kept.item.title, kept.etag], ["new", '"2"']);
    assert.equal(getStored("item-1").item.title, "new");
  });

  test("a list keeps the entity tag of the same version", () => {
    storeItem(item({}), '"1"');
    assert.equal(storeItem(item({})).etag, '"1"');
    assert.equal(storeItem(item({ version: 2 })).etag, null);
  });

  test("listeners get an item and what was stored before", () => {
    const calls = [];
    onItemStored((now, before) => calls.push([now.version, before?.version]));
    storeItem(item({ version: 2 }));
    storeItem(item({ version: 3 }));
    storeItem(item({ version: 1 }));
    assert.deepEqual(calls, [[2, undefined], [3, 2]]);
  });

  test("a picture keeps its URLs for an hour", (context) => {
    context.mock.timers.enable({ apis: ["Date"] });
    const urlOf = (path, signature) => `https://bucket/${path}?X-Amz-Signature=${signature}`;
    const image = (signature) => ({
      status: "ready", url: urlOf("original", signature), thumbnails: [{ size: 200, url: urlOf("200.jpg", signature) }],
    });
    const store = (signature) => storeItem(item({ image: image(signature) })).item.image;
    store(1);
    assert.deepEqual(store(2), image(1));
    context.mock.timers.tick(3600_000);
    assert.deepEqual(store(3), image(3));
    forgetUrls(image(3));
    assert.deepEqual(store(4), image(4));
    clearStore();
    assert.deepEqual(store(5), image(5));
  });

  test("sign-out clears items and pending deletes", () => {
    storeItem(item({}));
    pendingDeletes.add("item-1");
    clearStore();
    assert.equal(getStored("item-1"), undefined);
    assert.equal(pendingDeletes.size, 0);
  });
});
