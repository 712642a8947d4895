// Changes and deletes of one item or many, which other users may change at the same time.

import { Problem, call, ifMatch, itemPath } from "./api.js";
import { closeDialog, currentView } from "./dialog.js";
import { $, announce, button, h, plural, showErrorNotice, showNotice, targetOf } from "./dom.js";
import { isEqual, isObject } from "./exact-json.js";
import { hideCard, removeCard, restoreCard } from "./gallery.js";
import { nameOf, ownFields } from "./item-fields.js";
import { getStored, pendingDeletes, removeStored, storeItem } from "./item-store.js";
import { followThumbnails, retry } from "./poll.js";

/**
 * Set some fields of an item (null removes one), unless someone else has changed one of them. Throw Problem.
 * @param {Item} item as the user saw it
 * @param {Fields} changes
 * @param {CallOptions} [options]
 */
export async function patchItem(item, changes, options) {
  const isUnchanged = (/** @type {Item} */ now) => Object.keys(changes).every((name) => isEqual(now[name], item[name]));
  const message = "Someone else changed this field.";
  const patch = Object.entries(changes).map(([name, value]) => [name, replacing(item[name], value)]);
  const body = Object.fromEntries(patch);
  const { data, etag } = await writeUnless(item, "PATCH", { isUnchanged, message, ...options, body });
  return storeItem(data, etag).item;
}

/**
 * Return the merge patch (RFC 7396) that replaces a value. An object would be merged with the one before.
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
 * Delete an item, unless someone else has changed its fields. An item that is gone already counts as deleted. Throw
 * Problem.
 * @param {Item} item as the user saw it
 * @param {CallOptions} [options]
 */
export async function deleteItemNow(item, options) {
  const fields = ownFields(item);
  const isUnchanged = (/** @type {Item} */ now) => isEqual(ownFields(now), fields);
  const message = "Someone else changed this item. Delete it again if you still want to.";
  try {
    await writeUnless(item, "DELETE", { isUnchanged, message, ...options });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
  }
}

/**
 * Return a function that writes to one of some items, as the user saw them. If someone else has changed one, a second
 * write goes to what that is now, because the user was told.
 * @template Result
 * @param {Item[]} items
 * @param {(item: Item) => Promise<Result>} write
 */
export function writerOf(items, write) {
  const seen = new Map(items.map((item) => [item.id, item]));
  return async (/** @type {string} */ id) => {
    try {
      return await write(/** @type {Item} */ (seen.get(id)));
    } catch (problem) {
      const now = getStored(id)?.item;
      if (problem instanceof Problem && problem.status === 412 && now) seen.set(id, now);
      throw problem;
    }
  };
}

/**
 * Write with the entity tag of what is stored. If the item has changed meanwhile, write again if that does not matter.
 * @param {Item} item
 * @param {string} method
 * @param {CallOptions & {isUnchanged: (now: Item) => boolean, message: string, below?: string}} options `below` follows
 *   the item's path
 */
async function writeUnless({ id }, method, { isUnchanged, message, below = "", ...options }) {
  for (;;) {
    const stored = getStored(id);
    // An item of a list has no entity tag. The API compares the version only.
    const tag = stored && (stored.etag ?? `"${stored.item.version}"`);
    try {
      return await call(method, itemPath(id) + below, { headers: ifMatch(tag), ...options });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
    }
    const { data, etag } = await call("GET", itemPath(id));
    storeItem(data, etag);
    if (!isUnchanged(data)) throw new Problem({ status: 412, message });
  }
}

const CONCURRENCY = 3;
const SHOW_DONE = 6000; // milliseconds
const MAX_LISTED = 20;

/**
 * Call `action` for each id. "Too many requests" and being offline are waited out. After an abort, no further one is
 * started. Return the failed ones, and those that were not done.
 * @param {string[]} ids
 * @param {(id: string) => Promise<any>} action
 * @param {{signal?: AbortSignal, onProgress?: (done: number) => void}} [options]
 * @returns {Promise<{failed: {id: string, problem: Problem}[], left: string[]}>}
 */
export async function runForEach(ids, action, { signal, onProgress } = {}) {
  const queue = [...ids];
  /** @type {{id: string, problem: Problem}[]} */
  const failed = [];
  /** @type {Set<string>} */
  const done = new Set();
  const work = async () => {
    while (queue.length > 0 && !signal?.aborted) {
      const id = /** @type {string} */ (queue.shift());
      try {
        await retry(() => action(id), { signal });
      } catch (problem) {
        if (signal?.aborted) return;
        if (!(problem instanceof Problem)) throw problem;
        failed.push({ id, problem });
      }
      done.add(id);
      onProgress?.(done.size);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return { failed, left: ids.filter((id) => !done.has(id)) };
}

/** Runs that are under way. @type {Set<BulkRun>} */
const running = new Set();

/** A run with its notice. What failed can be tried again. */
export class BulkRun {
  #action;
  #texts;
  #stopper = new AbortController();

  /**
   * @param {(id: string) => Promise<any>} action
   * @param {{running: string, done: string}} texts such as "Setting the price" and "Price set"
   */
  constructor(action, texts) {
    this.#action = action;
    this.#texts = texts;
  }

  /**
   * Return the failed ones, and those that were not done.
   * @param {string[]} ids
   */
  async run(ids) {
    const stop = button("Stop", () => this.#stopper.abort(new Error("Stopped")));
    const notice = showNotice(`${this.#texts.running}: ${plural(ids.length, "item")}`, stop);
    const bar = h("progress", { max: ids.length, value: 0, "aria-label": this.#texts.running });
    const note = "Keep this page open: what is not sent yet is not done.";
    notice.show(h("p", {}, note), bar);
    running.add(this);
    const onProgress = (/** @type {number} */ done) => (bar.value = done);
    try {
      const result = await runForEach(ids, this.#action, { signal: this.#stopper.signal, onProgress });
      this.#report(ids, result);
      return result;
    } finally {
      running.delete(this);
      notice.close();
    }
  }

  /** @param {string[]} ids @param {{failed: {id: string, problem: Problem}[], left: string[]}} result */
  #report(ids, { failed, left }) {
    const done = ids.length - failed.length - left.length;
    const parts = [`${this.#texts.done}: ${plural(done, "item")}`,
      failed.length > 0 && `${failed.length} failed`, left.length > 0 && `${left.length} not done`];
    const text = parts.filter(Boolean).join(" · ");
    announce(text);
    const remaining = [...failed.map(({ id }) => id), ...left];
    if (remaining.length === 0) {
      const notice = showNotice(text);
      setTimeout(notice.close, SHOW_DONE);
      return;
    }
    const again = button(`Try the ${remaining.length} again`, () => {
      notice.close();
      new BulkRun(this.#action, this.#texts).run(remaining);
    });
    const notice = showNotice(text, again);
    notice.keep();
    notice.show(failureList(failed));
  }
}

/** @param {{id: string, problem: Problem}[]} failed */
function failureList(failed) {
  const more = failed.length - MAX_LISTED;
  return h("ul", { class: "failed-items" },
    failed.slice(0, MAX_LISTED).map(({ id, problem }) => {
      const item = getStored(id)?.item;
      return h("li", {}, h("strong", {}, item ? nameOf(item) : id), ` ${problem.message}`);
    }),
    more > 0 && h("li", {}, `and ${more} more`));
}

addEventListener("beforeunload", (event) => running.size > 0 && event.preventDefault());

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
