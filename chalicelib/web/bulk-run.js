// Runs a request for each of many items, a few at a time, with its progress and result in a notice.

import { Problem } from "./api.js";
import { announce, button, h, plural, showNotice } from "./dom.js";
import { nameOf } from "./item-name.js";
import { getStored } from "./item-store.js";
import { retry } from "./poll.js";

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
