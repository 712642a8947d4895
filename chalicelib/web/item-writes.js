// Changes and deletes of one item or many, which other users may change at the same time.

import { Problem, call, ifMatch, itemPath } from "./api.js";
import { closeDialog, currentView } from "./dialog.js";
import { $, announce, button, plural, showErrorNotice, showNotice, targetOf } from "./dom.js";
import { isEqual, isObject } from "./exact-json.js";
import { nameOf, ownFields } from "./field-metadata.js";
import { cardElement, hideCards, removeCards, restoreCard } from "./gallery.js";
import { entityTag, getStored, pendingDeletes, readItem, removeStored, storeItem } from "./item-store.js";
import { holdPages, loadPage } from "./list-loading.js";
import { followThumbnails } from "./thumbnail-wait.js";

/**
 * Set some fields of an item (null removes one), unless somebody else has changed one of them. Throw Problem.
 * @param {Item} item as the user saw it
 * @param {Fields} changes
 */
export async function patchItem(item, changes) {
  const isUnchanged = (/** @type {Item} */ now) => Object.keys(changes).every((name) => isEqual(now[name], item[name]));
  const message = "Someone else changed this field.";
  const body = patchOf(item, changes);
  const { data, etag } = await writeUnless(item, "PATCH", { isUnchanged, message, body });
  return storeItem(data, etag).item;
}

/**
 * Return the merge patch (RFC 7396) that sets some fields of an item. null removes one.
 * @param {Item} item
 * @param {Fields} changes
 */
export const patchOf = (item, changes) =>
  Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, replacing(item[name], value)]));

/**
 * Return the merge patch that replaces a value, although a merge patch merges objects.
 * @param {any} before
 * @param {any} value
 * @returns {any}
 */
function replacing(before, value) {
  if (!isObject(before) || !isObject(value)) return value;
  const names = [...new Set([...Object.keys(before), ...Object.keys(value)])];
  return Object.fromEntries(names.map((name) => [name, name in value ? replacing(before[name], value[name]) : null]));
}

/**
 * Set the focus of an item's picture, or remove it by null, unless the picture was replaced. Throw Problem.
 * @param {Item} item as the user saw it
 * @param {Focus | null} focus
 */
export async function setFocus(item, focus) {
  const pictureOf = (/** @type {Item} */ { image }) => image?.url && new URL(image.url).pathname;
  const isUnchanged = (/** @type {Item} */ now) => pictureOf(now) === pictureOf(item);
  const options = { isUnchanged, message: "The picture was replaced meanwhile.", below: "/image", body: { focus } };
  const { data, etag } = await writeUnless(item, "PATCH", options);
  storeItem(data, etag);
  if (data.version !== item.version) followThumbnails(data);
}

/**
 * Delete an item, unless somebody else has changed its fields. An item that is gone already counts as deleted. Throw
 * Problem.
 * @param {Item} item as the user saw it
 */
export async function deleteItemNow(item) {
  const fields = ownFields(item);
  const isUnchanged = (/** @type {Item} */ now) => isEqual(ownFields(now), fields);
  const message = "Someone else changed this item. Delete it again if you still want to.";
  try {
    await writeUnless(item, "DELETE", { isUnchanged, message });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
  }
}

/**
 * Write with the entity tag of what is stored. If the item has changed meanwhile, write again if `isUnchanged` is true.
 * @param {Item} item
 * @param {string} method
 * @param {{isUnchanged: (now: Item) => boolean, message: string, below?: string, body?: any}} options `below` follows
 *   the item's path
 */
async function writeUnless({ id }, method, { isUnchanged, message, below = "", body }) {
  for (;;) {
    try {
      return await call(method, itemPath(id) + below, { headers: ifMatch(entityTag(id)), body });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
    }
    const { item } = await readItem(id);
    if (!isUnchanged(item)) throw new Problem({ status: 412, message });
  }
}

const UNDO_TIME = 8000; // milliseconds
const MAX_SENT_AT_CLOSE = 100; // items in the one request of a page that closes

/** @type {Set<PendingDelete>} */
const undoable = new Set();

/** Hidden items, which are deleted when the time to undo that has passed. */
class PendingDelete {
  /** @param {Item[]} items */
  constructor(items) {
    this.items = items;
    this.listed = items.map(({ id }) => id).filter((id) => cardElement(id)?.isConnected);
    // Their pages must not be loaded meanwhile, because nothing of them would be shown.
    this.release = this.listed.length < items.length ? holdPages() : null;
    this.notice = showNotice(`Deleted ${nameOfAll(items)}`, button("Undo", () => this.undo()));
    if (!this.canBeSentAtClose) this.notice.show("Keep this page open: what is not sent yet is not deleted.");
    this.timer = this.startTimer();
    undoable.add(this);
  }

  get canBeSentAtClose() {
    return this.items.length <= MAX_SENT_AT_CLOSE;
  }

  startTimer() {
    // It is extended while the user is at the notice (WCAG 2.2, 2.2.1).
    return setTimeout(() => {
      if (this.notice.isInUse()) this.timer = this.startTimer();
      else this.finish();
    }, UNDO_TIME);
  }

  close() {
    clearTimeout(this.timer);
    undoable.delete(this);
    this.notice.close();
  }

  undo() {
    this.close();
    const card = this.restore(this.items.map(({ id }) => id));
    this.release?.();
    if (card) $("a", card).focus();
  }

  /** Show items again, and return the first card. @param {string[]} ids */
  restore(ids) {
    for (const id of ids) pendingDeletes.delete(id);
    const [card] = this.listed.filter((id) => ids.includes(id)).map(restoreCard);
    return card;
  }

  /** Delete the items now. */
  async finish() {
    this.close();
    if (this.items.length === 1) {
      await deleteOne(this.items[0]);
      return;
    }
    const { BulkRun } = await import("./bulk-run.js"); // Few visits need it.
    const run = new BulkRun(DELETING, new Map(this.items.map((item) => [item.id, item])));
    const { failed, left } = await run.run(this.items.map(({ id }) => id));
    this.restore([...failed.map(({ id }) => id), ...left]);
    if (!this.release) return;
    this.release();
    loadPage({ fromStart: true });
  }

  /** Send what a page that closes can send. Nothing waits for the responses. */
  sendAtClose() {
    this.close();
    const operations = this.items.slice(0, MAX_SENT_AT_CLOSE).map(({ id }) => {
      // Send no ifMatch while thumbnails are made: they change the entity tag, and a closing page cannot retry after
      // a 412.
      const isRendering = ["pending", "processing"].includes(getStored(id)?.item.image?.status ?? "");
      return { op: "delete", id, ...(!isRendering && { ifMatch: entityTag(id) }) };
    });
    call("POST", "items/batch", { body: { operations }, keepalive: true }).catch(() => {});
  }
}

/** @type {BulkAction} */
const DELETING = {
  running: "Deleting",
  done: "Deleted",
  operationOf: () => ({ op: "delete" }),
  onWritten: (written) => forget(written.map(({ item }) => item.id)),
  writeAlone: (item) => deleteItemNow(item).then(() => forget([item.id])),
};

/** @param {Item[]} items */
const nameOfAll = (items) => (items.length === 1 ? nameOf(items[0]) : plural(items.length, "item"));

/**
 * Close the dialog and delete its item, which can be undone for some seconds.
 * @param {string} id
 */
export const deleteItem = (id) => deleteItems([id]);

/**
 * Delete items, which can be undone together for some seconds.
 * @param {string[]} ids
 */
export function deleteItems(ids) {
  const items = ids.filter((id) => !pendingDeletes.has(id)).flatMap((id) => getStored(id)?.item ?? []);
  if (currentView()) closeDialog();
  if (items.length === 0) return;
  items.forEach(({ id }) => pendingDeletes.add(id));
  new PendingDelete(items);
  const neighbour = hideCards(items.map(({ id }) => id));
  announce(`Deleted ${nameOfAll(items)}. Press Control+Z to undo.`);
  (neighbour ? $("a", neighbour) : $("#new")).focus();
}

/** @param {Item} item */
async function deleteOne(item) {
  try {
    await deleteItemNow(item);
    forget([item.id]);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    restoreCard(item.id);
    showErrorNotice(`${nameOf(item)} was not deleted`, problem);
  }
}

/** @param {string[]} ids */
function forget(ids) {
  removeCards(ids);
  for (const id of ids) {
    removeStored(id);
    pendingDeletes.delete(id);
  }
}

/** Delete all items now that could be restored. */
export const finishDeletes = () => Promise.all([...undoable].map((one) => one.finish()));

addEventListener("keydown", (event) => {
  const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
  const last = [...undoable].at(-1);
  if (!isUndo || !last || targetOf(event).matches("input:not([type=checkbox]), textarea")) return;
  event.preventDefault();
  last.undo();
});

addEventListener("beforeunload", (event) => {
  if ([...undoable].some((one) => !one.canBeSentAtClose)) event.preventDefault();
});
addEventListener("pagehide", () => undoable.forEach((one) => one.sendAtClose()));
