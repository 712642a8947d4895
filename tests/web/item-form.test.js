import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { closeDialog, currentView } from "../../chalicelib/web/dialog.js";
import { draftOf } from "../../chalicelib/web/drafts.js";
import { editItem } from "../../chalicelib/web/item-form.js";
import { clearStore, storeItem } from "../../chalicelib/web/item-store.js";
import { viewItem } from "../../chalicelib/web/item-viewer.js";

const AT = "2026-01-31T12:00:00.000Z";
const STOOL = { id: "one", createdAt: AT, updatedAt: AT, title: "Stool" };
const item = (version, fields = {}) => ({ ...STOOL, version, ...fields });
const dialog = () => document.querySelector("#item");
const notice = () => dialog().querySelector(".item-form [role=status]").textContent;
const height = () => dialog().querySelector('[aria-label="Value of height"]');

describe("a change by someone else", () => {
  beforeEach(() => {
    storeItem(item(1, { height: 45 }), '"1"');
    stubFetch(() => json(item(1, { height: 45 })));
  });

  afterEach(() => {
    closeDialog();
    clearStore();
    draftOf("one").remove();
  });

  const openForm = () => editItem({ item: item(1, { height: 45 }), etag: '"1"' }, () => closeDialog());

  function type(text) {
    height().value = text;
    height().dispatchEvent(new Event("input", { bubbles: true }));
  }

  test("is shown in an open item, whose picture stays", async () => {
    await viewItem("one");
    const frame = dialog().querySelector(".frame");
    storeItem(item(2, { height: 46 }));
    assert.match(dialog().textContent, /Height46/);
    assert.ok(dialog().querySelector(".frame") === frame);
  });

  test("is shown in an unedited form, and the focus stays", () => {
    openForm();
    height().focus();
    storeItem(item(2, { height: 46 }));
    assert.equal(height().value, "46");
    assert.ok(document.activeElement === height());
  });

  test("is reported in an edited form", () => {
    openForm();
    type("47");
    storeItem(item(2, { height: 45, wood: "ash" }));
    assert.match(notice(), /Someone else changed this item/);
    assert.equal(height().value, "47");
    storeItem(item(3, { height: 45 }));
    assert.equal(notice(), "");
  });

  test("of the picture alone is not reported", () => {
    openForm();
    type("47");
    storeItem(item(2, { height: 45, image: { status: "processing" } }));
    assert.equal(notice(), "");
  });

  test("that deletes the item closes an unedited form", () => {
    openForm();
    currentView().onItemGone();
    assert.ok(currentView() === null);
    openForm();
    type("47");
    currentView().onItemGone();
    assert.match(notice(), /Someone else deleted this item/);
  });
});
