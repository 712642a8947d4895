import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { clearStore, storeItem } from "../../chalicelib/web/item-store.js";
import { openShares, shareRequest } from "../../chalicelib/web/share-links.js";

const AT = "2026-01-31T12:00:00.000Z";
const URL_OF_PAGE = "https://api.example/stage/s/token";
const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
};
const inDialog = (selector) => document.querySelector(`dialog.ask ${selector}`);
/** Press the last button with a label. */
const press = async (label) => {
  [...document.querySelectorAll("dialog.ask button")].findLast((one) => one.textContent === label).click();
  await settle();
};

/** Open the dialog of an item that has some links. Return the requests that follow. */
async function open(shares, respond) {
  storeItem({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase" });
  stubFetch(() => json({ shares }));
  await openShares("item-1");
  return stubFetch(respond);
}

describe("share-links", () => {
  afterEach(() => {
    document.querySelectorAll("dialog.ask").forEach((one) => one.remove());
    document.querySelector("#tray .notices").replaceChildren();
    clearStore();
  });

  test("a link expires after days, or never", () => {
    assert.deepEqual(shareRequest("7", Date.parse(AT)), { expiresAt: "2026-02-07T12:00:00.000Z" });
    assert.deepEqual(shareRequest(""), {});
  });

  test("a new link is shown once, and listed", async () => {
    const share = { id: "share-1", url: URL_OF_PAGE, createdAt: AT, expiresAt: "2026-02-07T12:00:00.000Z" };
    const requests = await open([], () => json(share, { status: 201 }));
    assert.match(document.querySelector("dialog.ask").textContent, /There is no link yet\./);
    inDialog("form").dispatchEvent(new Event("submit", { cancelable: true }));
    await settle();
    const sevenDays = Date.parse(JSON.parse(requests[0].init.body).expiresAt) - Date.now();
    assert.equal(Math.round(sevenDays / 3600_000), 7 * 24);
    assert.match(inDialog(".link-field label").textContent, /shown only once/);
    assert.equal(inDialog(".link-field input").value, URL_OF_PAGE);
    assert.match(inDialog(".shares li").textContent, /^Made .*, expires .*Revoke$/);
  });

  test("a link is revoked after a question", async () => {
    const requests = await open([{ id: "share-1", createdAt: AT }], () => json({ message: "Gone." }, { status: 404 }));
    assert.match(inDialog(".shares li").textContent, /, never expires/);
    await press("Revoke");
    await press("Cancel");
    assert.equal(requests.length, 0);
    await press("Revoke");
    await press("Revoke"); // In the question. 404 means that it is gone already.
    assert.equal(requests[0].init.method, "DELETE");
    assert.match(requests[0].url.pathname, /\/items\/item-1\/shares\/share-1$/);
    assert.equal(inDialog(".shares li"), null);
    assert.equal(inDialog("[role=status]").textContent, "Link revoked");
  });

  test("only the newest link's URL goes with its link", async () => {
    let count = 0;
    await open([], () => {
      count += 1;
      return json({ id: `share-${count}`, url: URL_OF_PAGE, createdAt: AT });
    });
    for (const expected of [1, 2]) {
      inDialog("form").dispatchEvent(new Event("submit", { cancelable: true }));
      await settle();
      assert.equal(count, expected);
    }
    const revokeFirst = async () => {
      inDialog(".shares button").click();
      await settle();
      await press("Revoke");
    };
    await revokeFirst();
    assert.notEqual(inDialog(".link-field"), null);
    await revokeFirst();
    assert.equal(inDialog(".link-field"), null);
  });

  test("a refused link says why", async () => {
    await open([], () => json({ message: "Too many." }, { status: 409 }));
    inDialog("form").dispatchEvent(new Event("submit", { cancelable: true }));
    await settle();
    assert.equal(inDialog("[role=alert] p").textContent, "Too many.");
  });
});
