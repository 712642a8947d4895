// Deletes items, which the user can undo for some seconds.

import { Problem } from "./api.js";
import { BulkRun } from "./bulk-run.js";
import { closeDialog, currentView } from "./dialog.js";
import { $, announce, button, plural, showErrorNotice, showNotice, targetOf } from "./dom.js";
import { hideCard, removeCard, restoreCard } from "./gallery.js";
import { nameOf } from "./item-name.js";
import { getStored, pendingDeletes, removeStored } from "./item-store.js";
import { deleteItemNow, writerOf } from "./item-writes.js";

const UNDO_TIME = 8000; // milliseconds
const MAX_SENT_AT_CLOSE = 20; // requests of a page that closes

/** @type {Set<PendingDelete>} */
const undoable = new Set();

/** Hidden items, which are deleted when the time to undo that has passed. */
class PendingDelete {
  /** @param {Item[]} items */
  constructor(items) {
    this.items = items;
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
    const [card] = this.items.map(({ id }) => restoreCard(id));
    $("a", card).focus();
  }

  /** Delete the items now. */
  async finish() {
    this.close();
    if (this.items.length === 1) {
      await deleteOne(this.items[0]);
      return;
    }
    const write = writerOf(this.items, deleteItemNow);
    const run = new BulkRun((id) => write(id).then(() => forget(id)), { running: "Deleting", done: "Deleted" });
    const { failed, left } = await run.run(this.items.map(({ id }) => id));
    [...failed.map(({ id }) => id), ...left].forEach(restoreCard);
  }

  /** Send what a page that closes can send. Nothing waits for the responses. */
  sendAtClose() {
    this.close();
    for (const item of this.items.slice(0, MAX_SENT_AT_CLOSE)) {
      // Send no If-Match while thumbnails are made: they change the entity tag, and a closing page cannot retry after
      // a 412.
      const isRendering = ["pending", "processing"].includes(getStored(item.id)?.item.image?.status ?? "");
      deleteOne(item, { keepalive: true, ...(isRendering && { headers: {} }) });
    }
  }
}

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
  const neighbour = items.map(({ id }) => hideCard(id)).at(-1);
  announce(`Deleted ${nameOfAll(items)}. Press Control+Z to undo.`);
  (neighbour ? $("a", neighbour) : $("#new")).focus();
}

/** @param {Item} item @param {CallOptions} [options] */
async function deleteOne(item, options) {
  try {
    await deleteItemNow(item, options);
    forget(item.id);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    restoreCard(item.id);
    showErrorNotice(`${nameOf(item)} was not deleted`, problem);
  }
}

/** @param {string} id */
function forget(id) {
  removeCard(id);
  removeStored(id);
  pendingDeletes.delete(id);
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
