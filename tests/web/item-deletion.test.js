import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { showCard } from "../../chalicelib/web/gallery.js";
import { deleteItem, deleteItems, finishDeletes } from "../../chalicelib/web/item-writes.js";
import { getStored, pendingDeletes } from "../../chalicelib/web/item-store.js";
import { clearGallery } from "../../chalicelib/web/list-loading.js";

const AT = "2026-01-31T12:00:00.000Z";
const UNDO_TIME = 8000;
const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase", ...fields });
const titles = () => [...document.querySelectorAll("#gallery h2")].map((one) => one.textContent);
const notices = () => document.querySelector("#tray .notices").textContent;
const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
};

describe("item-deletion", () => {
  beforeEach(() => {
    clearGallery();
    mock.timers.enable({ apis: ["setTimeout"] });
    showCard(item(), '"1"');
  });

  afterEach(() => {
    mock.timers.reset();
    document.querySelector("#tray .notices").replaceChildren();
  });

  test("an item is hidden at once and deleted after the undo time", async () => {
    const requests = stubFetch(() => json({ id: "item-1" }));
    deleteItem("item-1");
    assert.deepEqual([titles(), requests.length], [[], 0]);
    mock.timers.tick(UNDO_TIME - 1);
    await settle();
    assert.equal(requests.length, 0);
    mock.timers.tick(1);
    await settle();
    assert.deepEqual([requests[0].init.method, requests[0].init.headers["If-Match"]], ["DELETE", '"1"']);
    assert.equal(getStored("item-1"), undefined);
    assert.equal(notices(), "");
  });

  test("a delete can be undone", async () => {
    const requests = stubFetch(() => json({}));
    deleteItem("item-1");
    document.querySelector("#tray .notices button").click();
    mock.timers.tick(3 * UNDO_TIME);
    await settle();
    assert.deepEqual([titles(), requests.length, pendingDeletes.size], [["Vase"], 0, 0]);
  });

  test("Control+Z undoes the last delete", () => {
    stubFetch(() => json({}));
    deleteItem("item-1");
    const event = Object.assign(new Event("keydown", { bubbles: true, cancelable: true }), { key: "z", ctrlKey: true });
    document.body.dispatchEvent(event);
    assert.deepEqual([titles(), event.defaultPrevented], [["Vase"], true]);
  });

  test("sign-out does not wait for the time to undo", async () => {
    const requests = stubFetch(() => json({}));
    deleteItem("item-1");
    await finishDeletes();
    assert.equal(requests.length, 1);
  });

  test("a failed delete brings the card back and says why", async () => {
    stubFetch(() => json({ error: "X", message: "Not now." }, { status: 503 }));
    deleteItem("item-1");
    await finishDeletes();
    assert.deepEqual(titles(), ["Vase"]);
    assert.match(notices(), /Vase was not deleted.*Not now\./);
  });

  test("an item that is gone already counts as deleted", async () => {
    stubFetch(() => json({ error: "ITEM_NOT_FOUND", message: "No item." }, { status: 404 }));
    deleteItem("item-1");
    await finishDeletes();
    assert.deepEqual([titles(), notices()], [[], ""]);
  });

  test("an item whose fields have changed is not deleted", async () => {
    const changed = json(item({ version: 2, title: "Bowl" }), { headers: { ETag: '"2"' } });
    const mismatch = json({ error: "VERSION_MISMATCH", message: "It has changed." }, { status: 412 });
    const requests = stubFetch((_, { method }) => (method === "DELETE" ? mismatch : changed));
    deleteItem("item-1");
    await finishDeletes();
    assert.deepEqual(titles(), ["Bowl"]);
    assert.match(notices(), /Someone else changed this item/);
    assert.deepEqual(requests.map(({ init }) => init.method), ["DELETE", "GET"]);
  });

  test("an item whose picture alone has changed is deleted", async () => {
    const image = { status: "failed", error: { error: "IMAGE_INVALID", message: "It is damaged." } };
    const responses = [
      json({ error: "VERSION_MISMATCH", message: "It has changed." }, { status: 412 }),
      json(item({ version: 2, image }), { headers: { ETag: '"2"' } }), json({}),
    ];
    const requests = stubFetch(() => responses.shift());
    deleteItem("item-1");
    await finishDeletes();
    assert.deepEqual(requests.map(({ init }) => init.headers["If-Match"]), ['"1"', undefined, '"2"']);
    assert.deepEqual(titles(), []);
  });

  test("many items are deleted and undone together", async () => {
    const requests = stubFetch(() => json({}));
    showCard(item({ id: "item-2", title: "Bowl" }));
    deleteItems(["item-1", "item-2"]);
    assert.match(notices(), /Deleted 2 items/);
    document.querySelector("#tray .notices button").click();
    await finishDeletes();
    assert.deepEqual([titles(), requests.length], [["Bowl", "Vase"], 0]);
  });

  test("items that could not be deleted come back", async () => {
    const error = { error: "X", message: "Not now." };
    stubFetch(() => json({ results: [{ id: "item-1", status: 200 }, { id: "item-2", status: 503, error }] }));
    showCard(item({ id: "item-2", title: "Bowl" }));
    deleteItems(["item-1", "item-2"]);
    await finishDeletes();
    assert.deepEqual(titles(), ["Bowl"]);
    assert.match(notices(), /Deleted: 1 item · 1 failed.*Bowl Not now\./);
  });
});
