import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { cards, change, emptyList, item, page, respondWith, shown, text } from "./list.js";
import { removeCards, showCard } from "../../chalicelib/web/gallery.js";
import { pendingDeletes, removeStored } from "../../chalicelib/web/item-store.js";
import { hasMore, loadPage, refreshList } from "../../chalicelib/web/list-loading.js";

describe("refreshing the list", () => {
  beforeEach(emptyList);

  test("a refresh shows what changed and keeps other cards", async () => {
    const changed = item(3, { version: 2, title: "Renamed" });
    respondWith(page([5, 4, 3], "next"), json({ items: [item(6), item(5), changed], nextCursor: "later" }));
    await loadPage();
    const [five] = cards();
    five.querySelector("a").focus();
    assert.equal(await refreshList(), true);
    assert.deepEqual([shown(), text("#show-new"), hasMore()], [[5, 3], "Show 1 new item", true]);
    assert.equal(cards()[1].querySelector("h2").textContent, "Renamed");
    assert.equal(document.activeElement, five.querySelector("a"));
    five.querySelector("a").blur();
    await new Promise(setImmediate);
    assert.deepEqual([shown(), cards()[1]], [[6, 5, 3], five]);
  });

  test("a refresh reads as many items as are loaded", async () => {
    const requests = respondWith(page([5, 4], "a"), page([3, 2], "b"), page([5, 4], "c"), page([3, 2], "d"), page([1]));
    await loadPage();
    await loadPage();
    await refreshList();
    await loadPage();
    assert.deepEqual(shown(), [5, 4, 3, 2, 1]);
    assert.deepEqual(requests.map(({ url }) => url.searchParams.get("cursor")), [null, "a", null, "c", "d"]);
  });

  test("the focus of a card that is gone goes to its neighbour", async () => {
    respondWith(page([3, 2, 1]), page([3, 1]));
    await loadPage();
    cards()[1].querySelector("a").focus();
    await refreshList();
    assert.equal(document.activeElement, cards()[1].querySelector("a"));
    assert.deepEqual(shown(), [3, 1]);
  });

  test("a card stays while a name is typed in it", async () => {
    stubFetch(() => page([3, 2, 1]));
    await change({ q: "oak" });
    showCard(item(9));
    cards()[1].querySelector(".name").innerHTML = '<form class="renaming"></form>';
    respondWith(page([2]), page([2]));
    await refreshList();
    assert.deepEqual(shown(), [9, 3, 2]);
    cards()[1].querySelector(".renaming").remove();
    await refreshList();
    assert.deepEqual(shown(), [9, 2]);
  });

  test("a refresh brings sorted items into the order of the API", async () => {
    stubFetch(() => page([2, 5, 1]));
    await change({ order: "price" });
    respondWith(page([1, 4, 2, 5]));
    await refreshList();
    assert.deepEqual(shown(), [1, 4, 2, 5]);
  });

  test("if too many items are new, the newest replace the others", async () => {
    const newest = Array.from({ length: 30 }, (_, number) => 90 - number);
    const requests = respondWith(page([5, 4], "a"), page(newest.slice(0, 24), "b"), page(newest.slice(24), "c"));
    await loadPage();
    await refreshList();
    assert.deepEqual([shown(), requests.length], [newest.slice(0, 24), 3]);
  });

  test("a list in use waits until the user wants the changes", async () => {
    respondWith(page([5, 4], "a"), page([9, 8], "b"), page([7, 6], "c"), page([9, 8], "b"));
    await loadPage();
    const lists = document.querySelector("#lists");
    cards()[0].dispatchEvent(new Event("pointermove", { bubbles: true }));
    await refreshList();
    assert.deepEqual([shown(), text("#show-new")], [[5, 4], "Show new items"]);
    document.querySelector("#show-new").click();
    while (shown()[0] !== 9) await new Promise(setImmediate);
    assert.equal(document.querySelector("#show-new").hidden, true);
    lists.dispatchEvent(new Event("pointerleave"));
  });

  test("an item that waits to be deleted is not offered as a new one", async () => {
    respondWith(page([5]), page([6, 5]));
    await loadPage();
    pendingDeletes.add("item-06");
    cards()[0].dispatchEvent(new Event("pointermove", { bubbles: true }));
    await refreshList();
    assert.deepEqual([shown(), document.querySelector("#show-new").hidden], [[5], true]);
    document.querySelector("#lists").dispatchEvent(new Event("pointerleave"));
  });

  test("an empty list is filled, and an emptied one says so", async () => {
    respondWith(page([]), page([1]), page([]));
    await loadPage();
    await refreshList();
    assert.deepEqual([shown(), text("#count")], [[1], "1 item"]);
    await refreshList();
    assert.deepEqual([shown(), document.querySelector("#empty").hidden], [[], false]);
  });

  test("nothing is refreshed while a page is loading", async () => {
    respondWith(page([1]), json({ error: "X", message: "Not now." }, { status: 503 }));
    const loading = loadPage();
    assert.equal(await refreshList(), false);
    await loading;
    await loadPage({ fromStart: true });
    assert.equal(await refreshList(), false);
  });

  test("an item deleted during a refresh does not come back", async () => {
    let respond;
    stubFetch(() => page([2, 1]));
    await loadPage();
    stubFetch(() => new Promise((resolve) => (respond = resolve)));
    const refreshed = refreshList();
    while (!respond) await new Promise(setImmediate);
    removeCards(["item-02"]);
    removeStored("item-02");
    respond(page([2, 1]));
    await refreshed;
    assert.deepEqual(shown(), [1]);
  });
});
