// Drafts: what was typed in a form and not saved yet. They are kept in the browser's local storage, for each user and
// each item, so that they survive a reload, the end of a session and a closed tab.

import { apiRoot, userId } from "./oidc-session.js";

const PREFIX = "vitrine.draft";
const MAX_AGE = 30 * 24 * 60 * 60 * 1000; // milliseconds

const ownPrefix = () => `${PREFIX} ${apiRoot.pathname} ${userId()} `;

/** @param {string} [id] of the item; without it, the draft of a new one */
const keyOf = (id) => ownPrefix() + (id ?? "new");

/**
 * Return functions for the draft of an item's form. It belongs to the user who opened the form, even after a sign-out.
 * @param {string} [id] of the item; without it, that of a new one
 */
export function draftOf(id) {
  const key = keyOf(id);
  return { load: () => load(key), save: (/** @type {Draft} */ draft) => save(key, draft), remove: () => remove(key) };
}

/** @param {string} [id] */
export const hasDraft = (id) => load(keyOf(id)) !== null;

/** Remove drafts that are too old, also those of items that no longer exist. */
export function removeOldDrafts() {
  draftKeys().forEach(load);
}

/** Remove all drafts of the user, who signs out: the next user of this browser must not find them. */
export function removeDrafts() {
  draftKeys().filter((key) => key.startsWith(ownPrefix())).forEach(remove);
}

function draftKeys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return []; // The browser has no storage for this page.
  }
}

/** @param {string} key @returns {KeptDraft | null} */
function load(key) {
  try {
    const draft = JSON.parse(localStorage.getItem(key) ?? "null");
    if (draft && Date.parse(draft.savedAt) > Date.now() - MAX_AGE) return draft;
    remove(key);
  } catch {
    // The browser has no storage for this page.
  }
  return null;
}

/** Store a draft. Return false if the browser refuses that. @param {string} key @param {Draft} draft */
function save(key, draft) {
  try {
    localStorage.setItem(key, JSON.stringify({ ...draft, savedAt: new Date().toISOString() }));
    return true;
  } catch {
    return false;
  }
}

/** @param {string} key */
function remove(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // The browser has no storage for this page.
  }
}
