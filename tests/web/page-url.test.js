import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import "./browser.js";
import {
  clearRoute, currentRoute, itemIdOf, itemLink, itemRoute, listParameters, onListParametersChange, onRouteChange,
  setListParameters, setRoute,
} from "../../chalicelib/web/page-url.js";

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

  test("closing an item that was opened by its link keeps the list's parameters", async () => {
    visit("#item=item-1&view=table");
    clearRoute();
    await settle();
    assert.equal(location.hash, "#view=table");
  });

  test("a step can be gone back, other changes replace the address", async () => {
    const before = history.length;
    setListParameters("filter=oak");
    await settle();
    assert.equal(history.length, before);
    setListParameters("filter=oak&order=asc", { isStep: true });
    await settle();
    assert.equal(history.length, before + 1);
  });

  test("listeners hear of what the user visits", () => {
    const heard = [];
    onRouteChange((route) => heard.push(route));
    onListParametersChange((parameters) => heard.push(parameters));
    visit("#new&order=asc");
    visit("#item=item-1&order=asc");
    assert.deepEqual(heard, ["order=asc", "#new", "#item=item-1"]);
  });
});
