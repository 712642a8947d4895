import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { cards, change, emptyList, item, page, respondWith, shown, text } from "./list.js";
import {
  hideCards, neighbourId, removeCards, restoreCard, showCard,
} from "../../chalicelib/web/gallery.js";
import { pendingDeletes, storeItem } from "../../chalicelib/web/item-store.js";
import { clearGallery, hasMore, loadPage } from "../../chalicelib/web/list-loading.js";

describe("gallery", () => {
  beforeEach(emptyList);

  test("pages are loaded one after the other", async () => {
    const requests = respondWith(page([5, 4], "next"), page([3, 2]));
    await loadPage();
    assert.deepEqual([shown(), hasMore(), text("#count")], [[5, 4], true, "Showing 2, more to come"]);
    await loadPage();
    assert.deepEqual([shown(), hasMore(), text("#count")], [[5, 4, 3, 2], false, "4 items"]);
    assert.equal(requests[0].url.searchParams.get("cursor"), null);
    assert.equal(requests[1].url.searchParams.get("cursor"), "next");
  });

  test("loading from the start replaces all cards", async () => {
    respondWith(page([5, 4]), page([7, 6]));
    await loadPage();
    await loadPage({ fromStart: true });
    assert.deepEqual(shown(), [7, 6]);
  });

  test("a response to an older request is ignored", async () => {
    let respond;
    const held = () => new Promise((resolve) => (respond = resolve));
    stubFetch((url) => (url.searchParams.has("createdAfter") ? page([9]) : held()));
    const late = loadPage();
    while (!respond) await new Promise(setImmediate);
    await change({ added: "7" });
    respond(page([1]));
    await late;
    assert.deepEqual(shown(), [9]);
  });

  test("another order or age loads the list again", async () => {
    const requests = stubFetch(() => page([]));
    await change({ order: "asc", added: "..2026-01-31" });
    await change({ order: "asc" });
    await change({ order: "asc", view: "table" });
    assert.deepEqual(requests.map(({ url }) => url.searchParams.has("createdBefore")), [true, false]);
    assert.equal(requests[1].url.searchParams.get("order"), "asc");
  });

  test("a failure is shown, and the page can be tried again", async () => {
    respondWith(json({ error: "X", message: "Not now.", requestId: "r-1" }, { status: 503 }), page([1]));
    await loadPage();
    assert.match(text("#state"), /Not now\.[^]*r-1/);
    assert.equal(hasMore(), false);
    document.querySelector("#state .problem button").click();
    while (shown().length === 0) await new Promise(setImmediate);
    assert.equal(text("#state"), "");
  });

  test("a failure of a further page is shown below the items", async () => {
    respondWith(page([5], "next"), json({ error: "X", message: "Not now." }, { status: 503 }));
    await loadPage();
    await loadPage();
    assert.match(text("#more-state"), /Not now/);
    assert.deepEqual(shown(), [5]);
  });

  test("what is no list is a failure", async () => {
    respondWith(json({ message: "Hello" }));
    await loadPage();
    assert.match(text("#state"), /not a list of items/);
  });

  test("a rejected token leads to sign-in", async () => {
    respondWith(json({ error: "UNAUTHORIZED", message: "No." }, { status: 401 }));
    await loadPage();
    assert.match(text("#state"), /Sign in to see the items/);
  });

  test("new items are placed by their ids", async () => {
    respondWith(page([5, 3]));
    await loadPage();
    showCard(item(4));
    showCard(item(6));
    assert.deepEqual(shown(), [6, 5, 4, 3]);
  });

  test("with the oldest first, new items come last", async () => {
    stubFetch(() => page([3, 5]));
    await change({ order: "asc" });
    showCard(item(6));
    assert.deepEqual(shown(), [3, 5, 6]);
  });

  test("words are searched in all items", async () => {
    const requests = stubFetch((url) => (url.searchParams.get("q") === "oak" ? page([12], "next") : page([])));
    await change({ q: "oak" });
    assert.deepEqual([shown(), text("#count")], [[12], "Showing 1, more to come"]);
    await change({ q: "elm" });
    assert.deepEqual([shown(), text("#no-match")], [[], "No item matches “elm”."]);
    await change({ q: "elm", added: "7" });
    assert.equal(text("#no-match"), "No item added in this time matches “elm”.");
    assert.equal(requests.length, 3);
  });

  test("a page without a match is no end", async () => {
    respondWith(page([], "next"), page([3]));
    await change({ q: "oak" });
    assert.deepEqual([text("#count"), text("#no-match"), hasMore()], ["Searching…", "", true]);
    await loadPage();
    assert.deepEqual([shown(), text("#count")], [[3], "1 item found"]);
  });

  test("items sorted by a field stay in the order of the API", async () => {
    respondWith(page([2, 5], "next"), page([1, 4]));
    await change({ order: "price" });
    await loadPage();
    assert.deepEqual(shown(), [2, 5, 1, 4]);
    hideCards(["item-01"]);
    restoreCard("item-01");
    showCard(item(9));
    assert.deepEqual(shown(), [9, 2, 5, 1, 4]);
  });

  test("an empty gallery offers a start, unless a time is chosen", async () => {
    respondWith(page([]), page([]));
    await loadPage();
    const areHidden = () => ["#empty", "#no-match"].map((selector) => document.querySelector(selector).hidden);
    assert.deepEqual(areHidden(), [false, true]);
    await change({ added: "7" });
    assert.deepEqual(areHidden(), [true, false]);
  });

  test("neighbours are the cards beside an item", async () => {
    respondWith(page([13, 12, 11]));
    await loadPage();
    assert.deepEqual([neighbourId("item-12", 1), neighbourId("item-12", -1)], ["item-11", "item-13"]);
    assert.equal(neighbourId("item-11", 1), null);
    assert.equal(neighbourId("none", 1), null);
  });

  test("a hidden card comes back where it was", async () => {
    respondWith(page([3, 2, 1]));
    await loadPage();
    assert.equal(hideCards(["item-02"]).dataset.id, "item-01");
    assert.deepEqual(shown(), [3, 1]);
    restoreCard("item-02");
    assert.deepEqual(shown(), [3, 2, 1]);
  });

  test("a deleted item is not listed again", async () => {
    respondWith(page([3, 2, 1]), page([3, 2, 1]));
    await loadPage();
    pendingDeletes.add("item-02");
    removeCards(["item-02"]);
    await loadPage({ fromStart: true });
    assert.deepEqual(shown(), [3, 1]);
  });

  test("a stored change redraws the card in its place", async () => {
    respondWith(page([1]));
    await loadPage();
    const [card] = cards();
    card.querySelector("a").focus();
    storeItem(item(1, { version: 2, title: "Renamed" }));
    assert.equal(cards()[0], card);
    assert.equal(card.querySelector("h2").textContent, "Renamed");
    assert.equal(document.activeElement, card.querySelector("a"));
  });

  test("a change of the name keeps the picture's element", async () => {
    const image = (query) => ({ image: { status: "ready", width: 9, height: 9, url: `https://b/one?${query}` } });
    stubFetch(() => json({ items: [item(1, image("first"))], nextCursor: null }));
    await loadPage();
    const picture = document.querySelector("#gallery img");
    storeItem(item(1, { version: 2, title: "Title 2", ...image("later") }));
    assert.equal(document.querySelector("#gallery img"), picture);
  });

  test("the table has a row for each item", async () => {
    respondWith(page([2, 1]));
    await loadPage();
    change({ view: "table" });
    while (document.querySelectorAll("#table tbody tr").length === 0) await new Promise(setImmediate);
    const names = [...document.querySelectorAll("#table tbody tr th a")].map((one) => one.textContent);
    assert.deepEqual(names, ["Title 2", "Title 1"]);
    assert.equal(cards().length, 0);
    change({});
    assert.deepEqual(shown(), [2, 1]);
  });

  test("sign-out removes everything, also what is still loading", async () => {
    let respond;
    stubFetch(() => new Promise((resolve) => (respond = resolve)));
    const late = loadPage();
    while (!respond) await new Promise(setImmediate);
    clearGallery();
    respond(page([1]));
    await late;
    assert.deepEqual(cards(), []);
  });
});
