import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { setGlobal } from "./browser.js";
import { draftOf, hasDraft, removeDrafts, removeOldDrafts } from "../../chalicelib/web/drafts.js";
import { setToken } from "../../chalicelib/web/oidc-session.js";

const DRAFT = { base: {}, etag: null, fields: { title: "" }, content: { tab: 0, form: [] } };
const storage = globalThis.localStorage;

/** Sign in with a token of that user. */
const signInAs = (sub) => setToken(sub && `head.${btoa(JSON.stringify({ sub }))}.signature`);

describe("drafts", () => {
  beforeEach(() => {
    setGlobal("localStorage", storage);
    storage.clear();
    signInAs("");
  });

  test("a draft is kept for each item", () => {
    assert.equal(draftOf("item-1").save(DRAFT), true);
    const { savedAt, ...kept } = draftOf("item-1").load();
    assert.deepEqual(kept, DRAFT);
    assert.ok(Date.now() - Date.parse(savedAt) < 60_000);
    assert.deepEqual([hasDraft("item-1"), hasDraft("item-2"), hasDraft()], [true, false, false]);
    draftOf("item-1").remove();
    assert.equal(hasDraft("item-1"), false);
  });

  test("a draft is its user's", () => {
    signInAs("ann");
    const draft = draftOf();
    signInAs("ben");
    draft.save(DRAFT);
    assert.equal(hasDraft(), false);
    signInAs("ann");
    assert.equal(hasDraft(), true);
  });

  test("sign-out removes the user's drafts alone", () => {
    for (const user of ["ann", "ben"]) {
      signInAs(user);
      draftOf().save(DRAFT);
    }
    removeDrafts();
    assert.equal(hasDraft(), false);
    signInAs("ann");
    assert.equal(hasDraft(), true);
  });

  test("a draft of a month ago is removed", () => {
    draftOf().save(DRAFT);
    const [key] = Object.keys(storage);
    const savedAt = new Date(Date.now() - 31 * 24 * 60 * 60 * 1000).toISOString();
    storage.setItem(key, JSON.stringify({ ...DRAFT, savedAt }));
    removeOldDrafts();
    assert.equal(storage.length, 0);
  });

  test("a browser without storage keeps none", () => {
    const refuse = () => {
      throw new Error("SecurityError");
    };
    setGlobal("localStorage", { getItem: refuse, setItem: refuse, removeItem: refuse });
    assert.equal(draftOf().save(DRAFT), false);
    assert.equal(draftOf().load(), null);
    draftOf().remove();
    removeDrafts();
  });
});
