// Loads items page by page (`GET /items`).

import { Problem, call } from "./api.js";

const PAGE_SIZE = 24;
const NEWER_PAGE_SIZE = 100;
const MAX_NEWER_PAGES = 20;

/** The pages of one list. Responses to older loads are ignored. */
export class ItemPages {
  /** Parameters of `GET /items`. @type {Record<string, string>} */
  query = { order: "desc" };
  /** Where the next page begins; null before the first and after the last. @type {string | null} */
  cursor = null;
  isLoading = false;
  /** Whether a page could not be loaded. Only the user, or being online again, tries again. */
  hasFailed = false;
  #loads = 0;

  get hasMore() {
    return this.cursor !== null && !this.hasFailed;
  }

  /** Forget all pages, and ignore the response to a load that is under way. */
  reset() {
    this.#loads += 1;
    Object.assign(this, { cursor: null, isLoading: false, hasFailed: false });
  }

  /**
   * Load the next page. Return null if another load was started meanwhile. Throw Problem.
   * @returns {Promise<{items: Item[], isFirst: boolean} | null>}
   */
  async loadNext() {
    this.#loads += 1;
    const mine = this.#loads;
    Object.assign(this, { isLoading: true, hasFailed: false });
    const isFirst = this.cursor === null;
    try {
      const { items, nextCursor } = await this.#fetch(this.cursor, PAGE_SIZE);
      if (mine !== this.#loads) return null;
      this.cursor = nextCursor;
      return { items, isFirst };
    } catch (problem) {
      if (mine !== this.#loads) return null;
      this.hasFailed = true;
      throw problem;
    } finally {
      if (mine === this.#loads) this.isLoading = false;
    }
  }

  /**
   * Return the items before the first that is known, newest first, or null if those are too many. Throw Problem.
   * @param {(id: string) => boolean} isKnown
   * @returns {Promise<Item[] | null>}
   */
  async fetchNewer(isKnown) {
    const mine = this.#loads;
    /** @type {Item[]} */
    const newer = [];
    let after = null;
    for (let pages = 0; pages < MAX_NEWER_PAGES; pages += 1) {
      const { items, nextCursor } = await this.#fetch(after, NEWER_PAGE_SIZE);
      if (mine !== this.#loads) return [];
      newer.push(...items.filter(({ id }) => !isKnown(id)));
      if (!nextCursor || items.some(({ id }) => isKnown(id))) return newer;
      after = nextCursor;
    }
    return null;
  }

  /**
   * @param {string | null} after
   * @param {number} limit
   * @returns {Promise<{items: Item[], nextCursor: string | null}>}
   */
  async #fetch(after, limit) {
    const parameters = new URLSearchParams({ ...this.query, limit: String(limit), ...(after && { cursor: after }) });
    const { data } = await call("GET", `items?${parameters}`);
    if (Array.isArray(data?.items)) return data;
    throw new Problem({ message: "The response is not a list of items. Is another program at this address?" });
  }
}
