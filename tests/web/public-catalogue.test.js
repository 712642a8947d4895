import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { json, setGlobal, setOnline, stubFetch } from "./browser.js";
import { publishingPart } from "../../chalicelib/web/item-publishing.js";
import { clearStore, storeItem } from "../../chalicelib/web/item-store.js";
import { setToken } from "../../chalicelib/web/oidc-session.js";
import { knownCatalogue, openCatalogue } from "../../chalicelib/web/public-catalogue.js";

const CATALOGUE = {
  id: "c-1", title: "Glass", text: "", enabled: true, url: "https://api.example/stage/c/c-1", itemCount: 2,
};
const AT = "2026-01-31T12:00:00.000Z";
const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase", ...fields });
const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
};
const inDialog = (selector) => document.querySelector(`dialog.ask ${selector}`);
const submit = async () => {
  inDialog("form").dispatchEvent(new Event("submit", { cancelable: true }));
  await settle();
};

afterEach(() => {
  document.querySelector("dialog.ask")?.remove();
  document.querySelector("#tray .notices").replaceChildren();
  setToken(""); // After that, no catalogue is known.
  clearStore();
  setOnline(true);
});

describe("the dialog of the catalogue", () => {
  test("what was changed is sent and known", async () => {
    const requests = stubFetch((url, { method }) => json({ ...CATALOGUE, enabled: method === "GET" }));
    await openCatalogue();
    assert.match(document.querySelector("dialog.ask").textContent, /2 items are public\./);
    inDialog("input").value = "Old glass";
    inDialog("[role=switch]").click();
    await submit();
    assert.deepEqual(JSON.parse(requests[1].init.body), { title: "Old glass", text: "", enabled: false });
    assert.equal(document.querySelector("dialog.ask"), null);
    assert.equal(knownCatalogue().enabled, false);
  });

  test("an empty catalogue says how to publish", async () => {
    stubFetch(() => json({ ...CATALOGUE, itemCount: 0 }));
    await openCatalogue();
    assert.match(document.querySelector("dialog.ask").textContent, /No item is public yet: open an item/);
  });

  test("a refused change keeps the dialog open", async () => {
    stubFetch(() => json(CATALOGUE));
    await openCatalogue();
    stubFetch(() => json({ message: "Not now." }, { status: 503 }));
    await submit();
    assert.equal(inDialog("[role=alert] p").textContent, "Not now.");
  });

  test("a link that cannot be copied is selected", async () => {
    stubFetch(() => json(CATALOGUE));
    const copied = [];
    setGlobal("navigator", { onLine: true, clipboard: { writeText: async (text) => copied.push(text) } });
    await openCatalogue();
    const copy = async () => {
      inDialog(".link-field button").click();
      await settle();
      return inDialog(".link-field [role=status]").textContent;
    };
    assert.deepEqual([await copy(), copied], ["Copied", [CATALOGUE.url]]);
    setGlobal("navigator", { onLine: true }); // A page without TLS has no clipboard.
    assert.match(await copy(), /copy it from here/);
    assert.equal(document.activeElement, inDialog(".link-field input"));
  });
});

describe("the publishing part of an item's view", () => {
  const labels = (part) => [...part.querySelectorAll(".row > *")].map((one) => one.textContent);
  const draw = async (fields) => {
    const part = publishingPart(storeItem(item(fields)).item);
    await settle();
    return part;
  };

  test("only a public item has a public link", async () => {
    stubFetch(() => json(CATALOGUE));
    assert.deepEqual(labels(await draw({})), ["Share link…"]);
    const part = await draw({ visibility: "public" });
    assert.deepEqual(labels(part), ["Copy public link", "See as visitors see it", "Share link…"]);
    const { href, target, rel } = part.querySelector("a");
    assert.deepEqual([href, target, rel], [`${CATALOGUE.url}/item-1`, "_blank", "noopener"]);
  });

  test("it says that the catalogue is turned off", async () => {
    stubFetch(() => json({ ...CATALOGUE, enabled: false }));
    const part = await draw({ visibility: "public" });
    assert.match(part.textContent, /Visitors do not see it now: the public catalogue is turned off\./);
    assert.deepEqual(labels(part).slice(1), ["Public catalogue…", "Share link…"]);
  });

  test("without a response, the catalogue can be read again", async () => {
    stubFetch(() => json({}, { status: 503 }));
    assert.deepEqual(labels(await draw({ visibility: "public" })), ["Public catalogue…", "Share link…"]);
  });

  test("the switch publishes the item", async () => {
    const requests = stubFetch(() => json(item({ version: 2, visibility: "public" })));
    (await draw({})).querySelector("[role=switch]").click();
    await settle();
    assert.deepEqual(JSON.parse(requests[0].init.body), { visibility: "public" });
    assert.equal(document.querySelector("#announcer").textContent, "Published");
  });

  test("the switch stays if the item cannot be published", async () => {
    const part = await draw({});
    stubFetch(() => json({ message: "Not now." }, { status: 503 }));
    part.querySelector("[role=switch]").click();
    await settle();
    assert.equal(part.querySelector("[role=switch]").checked, false);
    assert.match(document.querySelector("#tray").textContent, /Vase was not published/);
  });
});
