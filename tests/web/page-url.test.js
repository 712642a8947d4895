import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import "./browser.js";
import {
  DEFAULTS, clearRoute, currentRoute, filtersOf, filtersText, itemIdOf, itemLink, itemRoute, listParameters,
  onListParametersChange, onRouteChange, parametersOf, queryOf, setListParameters, setRoute, settingsOf,
} from "../../chalicelib/web/page-url.js";

const NOW = Date.parse("2026-01-31T12:00:00Z");
const settle = async () => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
};

/** Set the address as the user would. */
function visit(hash) {
  history.replaceState(null, "", hash || location.pathname);
  dispatchEvent(new Event("popstate"));
}

describe("page-url", () => {
  afterEach(() => visit(""));

  test("routes name items", () => {
    assert.equal(itemIdOf(itemRoute("a/b c%")), "a/b c%");
    assert.equal(itemIdOf("#new"), null);
    assert.equal(itemIdOf("#item=%"), null);
  });

  test("a link opens an item in any list", () => {
    visit("#order=asc");
    assert.equal(itemLink("item-1"), "https://api.example/stage/#item=item-1");
  });

  test("the route and the list's parameters share the address", async () => {
    visit("#order=asc&view=table");
    setRoute("#item=item-1");
    await settle();
    assert.equal(location.hash, "#item=item-1&order=asc&view=table");
    assert.deepEqual([currentRoute(), listParameters()], ["#item=item-1", "order=asc&view=table"]);
    setListParameters("order=asc");
    await settle();
    assert.equal(location.hash, "#item=item-1&order=asc");
  });

  test("without route and parameters the address has no hash", async () => {
    visit("#order=asc");
    setListParameters("");
    await settle();
    assert.equal(location.href, "https://api.example/stage/");
  });

  test("closing an item keeps the list's parameters", async () => {
    visit("#item=item-1&view=table");
    clearRoute();
    await settle();
    assert.equal(location.hash, "#view=table");
  });

  test("a step can be gone back, other changes replace the address", async () => {
    const before = history.length;
    setListParameters("q=oak");
    await settle();
    assert.equal(history.length, before);
    setListParameters("q=oak&order=asc", { isStep: true });
    await settle();
    assert.equal(history.length, before + 1);
  });

  test("listeners are called when the user visits a URL", () => {
    const calls = [];
    onRouteChange((route) => calls.push(route));
    onListParametersChange((parameters) => calls.push(parameters));
    visit("#new&order=asc");
    visit("#item=item-1&order=asc");
    assert.deepEqual(calls, ["order=asc", "#new", "#item=item-1"]);
  });

  test("the URL names what differs from the defaults", () => {
    assert.equal(parametersOf(DEFAULTS), "");
    assert.equal(parametersOf({ ...DEFAULTS, view: "table", order: "asc" }), "view=table&order=asc");
  });

  test("a URL restores the settings", () => {
    const settings = { view: "table", density: "compact", order: "asc", added: "7", q: "oak & elm #1", filters: "" };
    assert.deepEqual(settingsOf(parametersOf(settings)), settings);
  });

  test("unknown values of a URL are ignored", () => {
    assert.deepEqual(settingsOf("view=map&order=%3Cb%3E&added=8&density=&q=&more=1"), DEFAULTS);
  });

  test("a number of days is counted from now", () => {
    const query = queryOf({ ...DEFAULTS, added: "7" }, NOW);
    assert.deepEqual(query, { order: "desc", createdAfter: "2026-01-24T12:00:00.000Z" });
  });

  test("words are searched, if there are any", () => {
    assert.deepEqual(queryOf({ ...DEFAULTS, q: "oak 7" }), { order: "desc", q: "oak 7" });
    assert.deepEqual(queryOf({ ...DEFAULTS, q: "–!" }), { order: "desc" });
  });

  test("a field to sort by replaces the order", () => {
    assert.deepEqual(queryOf({ ...DEFAULTS, order: "-price" }), { sort: "-price" });
    assert.equal(settingsOf("order=-price").order, "-price");
  });

  test("filters are in the URL as in the API", () => {
    const filters = [
      { field: "price", operator: "gte", value: "5" }, { field: "title", operator: "eq", value: "a&b=c +1" },
    ];
    const text = parametersOf({ ...DEFAULTS, q: "oak", filters: filtersText(filters) });
    assert.equal(text, "q=oak&filter[price][gte]=5&filter[title]=a%26b%3Dc%20%2B1");
    assert.deepEqual(filtersOf(settingsOf(text).filters), filters);
    assert.deepEqual(queryOf(settingsOf(text)), {
      order: "desc", q: "oak", "filter[price][gte]": "5", "filter[title]": "a&b=c +1",
    });
  });

  test("unknown operators and empty values are no filters", () => {
    const text = "filter[a][like]=1&filter[b]=&filter[c]=1&filter[c]=2&filter[1]=x&filter=y";
    assert.equal(settingsOf(text).filters, "filter[c]=2");
  });

  test("dates include both days", () => {
    const { createdAfter, createdBefore } = queryOf({ ...DEFAULTS, added: "2026-01-01..2026-01-31" });
    assert.equal(Date.parse(createdAfter), new Date(2026, 0, 1).getTime() - 1);
    assert.equal(Date.parse(createdBefore), new Date(2026, 1, 1).getTime());
  });

  test("a missing date is no bound", () => {
    assert.deepEqual(Object.keys(queryOf({ ...DEFAULTS, added: "..2026-01-31" })), ["order", "createdBefore"]);
    assert.deepEqual(queryOf({ ...DEFAULTS, added: ".." }), { order: "desc" });
  });
});
