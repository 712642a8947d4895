// Writes to many items, up to 100 in one request, with progress, a way to stop, and retries.

import { Problem, call, newIdempotencyKey } from "./api.js";
import { announce, button, h, plural, showNotice } from "./dom.js";
import { toJson } from "./exact-json.js";
import { nameOf } from "./field-metadata.js";
import { entityTag, getStored } from "./item-store.js";
import { retry, retryDelay, wait } from "./poll-and-retry.js";

/** The limit of `POST /items/batch`. */
const MAX_OPERATIONS = 100;
const MAX_BYTES = 2 * 1024 * 1024; // of the operations in a request; Lambda takes 6 MB
const CONCURRENCY = 2;
const SHOW_DONE = 6000; // milliseconds
const MAX_LISTED = 20;

/** Results with these codes say that the operation was not tried, or not to its end. */
const UNTRIED = ["NOT_TRIED", "THROTTLED", "BUSY"];
const TOO_MANY = new Problem({ status: 429, message: "The server has too much to do. Try again later." });
const MAX_DELAYS = 6; // about a minute

/** One run over some items. `seen` is for a second try too: after a conflict, it has the version that is reported. */
class Writes {
  /** @type {{id: string, problem: Problem}[]} */
  failed = [];
  /** @type {Set<string>} */
  done = new Set();
  #queue;
  #action;
  #seen;
  #options;

  /**
   * @param {string[]} ids
   * @param {BulkAction} action
   * @param {Map<string, Item>} seen the items as the user saw them, by id
   * @param {BulkOptions} options
   */
  constructor(ids, action, seen, options) {
    this.#queue = [...ids];
    this.#action = action;
    this.#seen = seen;
    this.#options = options;
  }

  async work() {
    const { signal } = this.#options;
    for (let delays = 0; this.#queue.length > 0 && !signal?.aborted;) {
      const ids = this.#queue.splice(0, this.#countOfNext());
      const untried = await this.#send(ids).catch((problem) => this.#failAll(ids, problem));
      if (untried.length === 0) delays = 0;
      else if (delays < MAX_DELAYS) {
        this.#queue.unshift(...untried);
        await wait(retryDelay(TOO_MANY, delays), signal).catch(() => {}); // The loop ends.
        delays += 1;
      } else this.#failAll(untried, TOO_MANY);
    }
  }

  #countOfNext() {
    const size = toJson(this.#operationOf(this.#queue[0])).length;
    return Math.max(1, Math.min(MAX_OPERATIONS, Math.floor(MAX_BYTES / size)));
  }

  /** @param {string} id */
  #itemOf(id) {
    return /** @type {Item} */ (this.#seen.get(id));
  }

  /** @param {string} id */
  #operationOf(id) {
    return { ...this.#action.operationOf(this.#itemOf(id)), id, ifMatch: entityTag(id) };
  }

  /** Write to some items, and return those that were not tried. Throw Problem. @param {string[]} ids */
  async #send(ids) {
    const { signal } = this.#options;
    const body = { operations: ids.map((id) => this.#operationOf(id)) };
    const headers = { "Idempotency-Key": newIdempotencyKey() }; // A retry returns the same results.
    const { data } = await retry(() => call("POST", "items/batch", { body, headers }), { signal });
    /** @type {BatchResult[]} */
    const results = data.results;
    const named = results.map((result, index) => ({ ...result, id: ids[index] }));
    const written = named.filter((one) => !one.error || this.#isGone(one));
    this.#action.onWritten(written.map(({ id, version }) => ({ item: this.#itemOf(id), version })));
    this.#markDone(written.map(({ id }) => id));
    const refused = named.filter((one) => !written.includes(one));
    const untried = refused.filter(({ error }) => UNTRIED.includes(error?.error ?? ""));
    for (const one of refused.filter((other) => !untried.includes(other))) await this.#retryRefused(one);
    return untried.map(({ id }) => id);
  }

  /** An item that is gone already counts as deleted. @param {BatchResult} result */
  #isGone({ id, status }) {
    return status === 404 && this.#action.operationOf(this.#itemOf(id)).op === "delete";
  }

  /** If the item has changed, write it alone, which compares what has changed. @param {BatchResult} result */
  async #retryRefused({ id, status, error }) {
    try {
      if (status !== 412) throw new Problem({ status, message: "", ...error });
      await retry(() => this.#action.writeAlone(this.#itemOf(id)), this.#options);
    } catch (problem) {
      this.#fail(id, problem);
    }
    this.#markDone([id]);
  }

  /** @param {string[]} ids @param {unknown} problem @returns {string[]} */
  #failAll(ids, problem) {
    if (this.#options.signal?.aborted) return []; // They are not done.
    for (const id of ids) this.#fail(id, problem);
    this.#markDone(ids);
    return [];
  }

  /** @param {string} id @param {unknown} problem */
  #fail(id, problem) {
    if (!(problem instanceof Problem)) throw problem;
    const now = getStored(id)?.item;
    if (problem.status === 412 && now) this.#seen.set(id, now);
    this.failed.push({ id, problem });
  }

  /** @param {string[]} ids */
  #markDone(ids) {
    for (const id of ids) this.done.add(id);
    this.#options.onProgress?.(this.done.size);
  }
}

/**
 * Write to items. Wait while the API has too many requests or the browser is offline. After an abort, no further
 * request is started. Return the failed ones, and those that were not done.
 * @param {string[]} ids
 * @param {BulkAction} action
 * @param {Map<string, Item>} seen the items as the user saw them, by id
 * @param {BulkOptions} [options]
 * @returns {Promise<{failed: {id: string, problem: Problem}[], left: string[]}>}
 */
export async function writeAll(ids, action, seen, options = {}) {
  const writes = new Writes(ids, action, seen, options);
  await Promise.all(Array.from({ length: CONCURRENCY }, () => writes.work()));
  return { failed: writes.failed, left: ids.filter((id) => !writes.done.has(id)) };
}

/** Runs that are under way. @type {Set<BulkRun>} */
const running = new Set();

/** A run with its notice. What failed can be tried again. */
export class BulkRun {
  #action;
  #seen;
  #stopper = new AbortController();

  /**
   * @param {BulkAction} action
   * @param {Map<string, Item>} seen the items as the user saw them, by id
   */
  constructor(action, seen) {
    this.#action = action;
    this.#seen = seen;
  }

  /**
   * Return the failed ones, and those that were not done.
   * @param {string[]} ids
   */
  async run(ids) {
    const { running: title } = this.#action;
    const stop = button("Stop", () => this.#stopper.abort(new Error("Stopped")));
    const notice = showNotice(`${title}: ${plural(ids.length, "item")}`, stop);
    const bar = h("progress", { max: ids.length, value: 0, "aria-label": title });
    const count = h("p");
    const onProgress = (/** @type {number} */ done) => {
      bar.value = done;
      count.textContent = `${done.toLocaleString()} of ${ids.length.toLocaleString()}`;
    };
    onProgress(0);
    notice.show(h("p", {}, "Keep this page open: what is not sent yet is not done."), bar, count);
    running.add(this);
    try {
      const result = await writeAll(ids, this.#action, this.#seen, { signal: this.#stopper.signal, onProgress });
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
    const parts = [`${this.#action.done}: ${plural(done, "item")}`,
      failed.length > 0 && `${failed.length.toLocaleString()} failed`,
      left.length > 0 && `${left.length.toLocaleString()} not done`];
    const text = parts.filter(Boolean).join(" · ");
    announce(text);
    const remaining = [...failed.map(({ id }) => id), ...left];
    if (remaining.length === 0) {
      const notice = showNotice(text);
      setTimeout(notice.close, SHOW_DONE);
      return;
    }
    const again = button(`Try the ${remaining.length.toLocaleString()} again`, () => {
      notice.close();
      new BulkRun(this.#action, this.#seen).run(remaining);
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
    more > 0 && h("li", {}, `and ${more.toLocaleString()} more`));
}

addEventListener("beforeunload", (event) => running.size > 0 && event.preventDefault());
