import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Window } from "../../.venv-node/node_modules/happy-dom/lib/index.js";

const SOURCE = readFileSync(new URL("../../chalicelib/web/visitors.js", import.meta.url), "utf8");
const LIST = "https://api.example/c/1";

const card = (id) => `<li class="card"><h2><a href="${LIST}/${id}">Item ${id}</a></h2></li>`;
const moreLink = (cursor) => (cursor ? `<p class="more"><a href="${LIST}?cursor=${cursor}">More</a></p>` : "");
const listPage = (ids, { cursor = "", status = "" } = {}) => `<title>List</title><main class="catalogue"><h1>List</h1>
  <form role="search" action="${LIST}"><input type="search" name="q"></form>
  <section>${status && `<p class="status"><span>${status}</span></p>`}<ul class="gallery">${ids.map(card).join("")}</ul>
  ${moreLink(cursor)}</section></main>`;
const itemPage = (id) => `<title>Item ${id}</title><main class="item"><nav><a class="back" href="${LIST}">List</a></nav>
  <h1 tabindex="-1">Item ${id}</h1></main>`;

/**
 * Run the script in a window of its own. Its requests wait until the test responds to them.
 * @param {string} html of the page that is opened
 */
function openPage(html) {
  const window = new Window({ url: LIST });
  const { document, history } = window;
  document.write(`${html}<p id="announcer"></p>`);
  const requests = [];
  const left = [];
  let onSeen = () => {};
  class Request {
    open(_, url) {
      this.url = url;
    }
    send() {
      requests.push(this);
    }
    respond(text) {
      if (text) this.responseXML = new window.DOMParser().parseFromString(text, "text/html");
      this.onload();
      return settled();
    }
  }
  const globals = {
    document,
    history,
    location: { get href() { return window.location.href; }, assign: (url) => left.push(url) },
    addEventListener: window.addEventListener.bind(window),
    scrollTo: () => {},
    scrollY: 0,
    setTimeout: (action, _, ...values) => action(...values),
    clearTimeout: () => {},
    FormData: window.FormData,
    XMLHttpRequest: Request,
    IntersectionObserver: class {
      constructor(listener) {
        onSeen = () => listener([{ isIntersecting: true }]);
      }
      observe() {}
      disconnect() {}
    },
  };
  new Function(...Object.keys(globals), SOURCE.replace("import.meta.url", '"https://api.example/web/visitors.js"'))(
    ...Object.values(globals),
  );
  const find = (selector) => document.querySelector(selector);
  return {
    window, document, requests, left, find,
    click: (selector, init = {}) => {
      const event = new window.MouseEvent("click", { bubbles: true, cancelable: true, ...init });
      find(selector).dispatchEvent(event);
      return event;
    },
    press: (key) => window.dispatchEvent(new window.KeyboardEvent("keydown", { key })),
    scrollToEnd: () => onSeen(),
    type: (text) => {
      find("input").value = text;
      find("input").dispatchEvent(new window.Event("input", { bubbles: true }));
    },
    titles: () => [...document.querySelectorAll(".card a")].map((one) => one.textContent),
  };
}

const settled = () => new Promise(setImmediate);

describe("visitors", () => {
  test("further items are added at the end", async () => {
    const page = openPage(listPage(["a", "b"], { cursor: "2" }));
    page.scrollToEnd();
    page.scrollToEnd();
    assert.deepEqual(page.requests.map(({ url }) => url), [`${LIST}?cursor=2`]);
    await page.requests[0].respond(listPage(["c"]));
    assert.deepEqual(page.titles(), ["Item a", "Item b", "Item c"]);
    assert.equal(page.find(".more"), null);
    assert.equal(page.find("#announcer").textContent, "1 more item");
  });

  test("further items that could not be loaded are loaded by a click", async () => {
    const page = openPage(listPage(["a"], { cursor: "2" }));
    page.scrollToEnd();
    await page.requests[0].respond("");
    assert.equal(page.click(".more a").defaultPrevented, true);
    await page.requests[1].respond(listPage(["b"], { cursor: "3" }));
    assert.deepEqual(page.titles(), ["Item a", "Item b"]);
    assert.equal(page.find(".more a").href, `${LIST}?cursor=3`);
  });

  test("only the last search is shown", async () => {
    const page = openPage(listPage(["a", "b"]));
    page.type("i");
    page.type("it");
    await page.requests[1].respond(listPage(["b"], { status: "Items that match “it”" }));
    await page.requests[0].respond(listPage(["a"]));
    assert.deepEqual(page.titles(), ["Item b"]);
    assert.equal(page.window.location.href, `${LIST}?q=it`);
    assert.equal(page.find("#announcer").textContent, "Items that match “it”");
    assert.equal(page.window.history.length, 2);
  });

  test("a page that could not be loaded is opened by the browser", async () => {
    const page = openPage(listPage(["a"]));
    assert.equal(page.click(".card a").defaultPrevented, true);
    await page.requests[0].respond("");
    assert.deepEqual(page.left, [`${LIST}/a`]);
  });

  test("links in a new tab are left to the browser", () => {
    const page = openPage(listPage(["a"]));
    for (const init of [{ ctrlKey: true }, { metaKey: true }, { shiftKey: true }, { button: 1 }]) {
      assert.equal(page.click(".card a", init).defaultPrevented, false);
    }
    assert.equal(page.requests.length, 0);
  });

  test("the keys lead to neighbours that are not loaded", async () => {
    const page = openPage(listPage(["a", "b"], { cursor: "2" }));
    page.click(".card a");
    await page.requests[0].respond(itemPage("a"));
    assert.equal(page.document.title, "Item a");
    assert.equal(page.document.activeElement, page.find("h1"));
    assert.equal(page.find(".step[rel=prev]"), null);
    assert.equal(page.find(".step[rel=next]").getAttribute("aria-label"), "Next item: Item b");
    page.press("ArrowRight");
    await page.requests[1].respond(itemPage("b"));
    assert.equal(page.requests[2].url, `${LIST}?cursor=2`);
    await page.requests[2].respond(listPage(["c"]));
    assert.equal(page.find(".step[rel=next]").getAttribute("aria-label"), "Next item: Item c");
    page.press("ArrowLeft");
    await page.requests[3].respond(itemPage("a"));
    assert.equal(page.window.location.href, `${LIST}/a`);
    assert.equal(page.window.history.length, 2);
  });

  test("an item that was opened directly leads to the list", async () => {
    const page = openPage(itemPage("a"));
    page.press("ArrowRight");
    assert.equal(page.requests.length, 0);
    page.press("Escape");
    await page.requests[0].respond(listPage(["a", "b"]));
    assert.deepEqual(page.titles(), ["Item a", "Item b"]);
  });
});
