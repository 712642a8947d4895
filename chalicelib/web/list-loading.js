// Loads the items, and says what was loaded: their number, that there are none, what failed, or that sign-in is needed.

import { Problem, call } from "./api.js";
import { $, button, h, plural, problemBox } from "./dom.js";
import {
  applySettings, clearCards, countOfLoaded, currentSettings, isListInUse, listedIds, setOutdated, showListed, showPage,
} from "./gallery.js";
import { clearStore, storedIds } from "./item-store.js";
import { DEFAULTS, hasBounds, hasWord, isSameList, queryOf } from "./page-url.js";

const gallery = $("#gallery");
const lists = $("#lists");
const state = $("#state");
const moreButton = $("#more");
const moreState = $("#more-state");

// -------------------------------------------------------------------------------------------------------------- pages

const PAGE_SIZE = 24;
const LARGE_PAGE_SIZE = 100;
/** If none of this many last items is found again, too many items are new to be shown between the others. */
const TAIL = 10;

/** The pages of one list. Responses to older loads are ignored. */
class ItemPages {
  /** Parameters of `GET /items`. @type {Record<string, string>} */
  query = { order: "desc" };
  /** Where the next page begins; null before the first and after the last. @type {string | null} */
  cursor = null;
  isLoading = false;
  isLoaded = false;
  /** Whether a page could not be loaded. Only the user, or being online again, tries again. */
  hasFailed = false;
  /** While there are any, no page is loaded automatically. */
  holds = 0;
  #loads = 0;
  #resets = 0;

  get hasMore() {
    return this.cursor !== null && !this.hasFailed && this.holds === 0;
  }

  /** Forget all pages, and ignore the response to a load that is under way. */
  reset() {
    this.#loads += 1;
    this.#resets += 1;
    Object.assign(this, { cursor: null, isLoading: false, isLoaded: false, hasFailed: false });
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
      Object.assign(this, { cursor: nextCursor, isLoaded: true });
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
   * Load again what is loaded. Return null if another load was started meanwhile. If too many items are new, return as
   * many items as before, and `isOutdated`. Throw Problem.
   * @param {string[]} listed the ids of the items that were loaded, in their order
   * @returns {Promise<{items: Item[], cursor: string | null, isOutdated: boolean} | null>}
   */
  async loadAgain(listed) {
    const mine = this.#loads;
    const tail = new Set(listed.slice(-TAIL));
    const again = { items: /** @type {Item[]} */ ([]), cursor: /** @type {string | null} */ (null), isOutdated: false };
    const loadMore = async (/** @type {number} */ wanted) => {
      const limit = Math.min(Math.max(wanted, PAGE_SIZE), LARGE_PAGE_SIZE);
      const { items, nextCursor } = await this.#fetch(again.cursor, limit);
      again.items.push(...items);
      again.cursor = nextCursor;
    };
    do await loadMore(listed.length - again.items.length);
    while (again.cursor && again.items.length < listed.length);
    const isFound = () => !again.cursor || tail.size === 0 || again.items.some(({ id }) => tail.has(id));
    const before = { ...again, items: [...again.items], isOutdated: true };
    if (!isFound()) await loadMore(LARGE_PAGE_SIZE);
    if (mine !== this.#loads) return null;
    return isFound() ? again : before;
  }

  /**
   * Yield the items of the pages after those that are loaded, page by page, as long as the list is the same. Throw
   * Problem.
   * @param {<Result>(action: () => Promise<Result>) => Promise<Result>} attempt calls an action, again if it fails
   */
  async *fetchRest(attempt) {
    const list = this.#resets;
    for (let after = this.cursor; after !== null;) {
      const start = after;
      const { items, nextCursor } = await attempt(() => this.#fetch(start, LARGE_PAGE_SIZE));
      if (list !== this.#resets) return;
      yield items;
      after = nextCursor;
    }
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

const pages = new ItemPages();

/** Return whether the list goes on after its last item. */
export const hasMore = () => pages.hasMore;

/** Return whether a page of the list was loaded, and none failed. If one failed, the user is asked to try again. */
export const isListShown = () => pages.isLoaded && !pages.hasFailed;

/** Yield the items of the pages that are not loaded. @type {ItemPages["fetchRest"]} */
export const fetchRest = (attempt) => pages.fetchRest(attempt);

/** Load no page automatically until the returned function is called. */
export function holdPages() {
  pages.holds += 1;
  return () => {
    pages.holds -= 1;
    showLoaded();
  };
}

// ------------------------------------------------------------------------------------------------------------ loading

/**
 * Load the next page; with `fromStart`, replace all cards by the first.
 * @param {{fromStart?: boolean}} [options]
 */
export async function loadPage({ fromStart = false } = {}) {
  if (pages.isLoading && !fromStart) return;
  if (fromStart) pages.reset();
  const loading = pages.loadNext();
  showLoading(fromStart);
  try {
    const page = await loading;
    if (!page) return;
    showPage(page.items, page);
    state.replaceChildren();
  } catch (problem) {
    await showLoadProblem(problem);
  }
  showLoaded();
}

/** @param {boolean} fromStart */
function showLoading(fromStart) {
  if (countOfLoaded() === 0 && !pages.cursor) showSkeletons();
  lists.setAttribute("aria-busy", "true");
  lists.classList.toggle("reloading", fromStart);
  moreButton.hidden = true;
  moreState.replaceChildren();
}

function showLoaded() {
  lists.removeAttribute("aria-busy");
  lists.classList.remove("reloading");
  showCounts();
  // An observer reports changes only, and a page that adds no card leaves the button in view.
  observer.unobserve(moreButton);
  observer.observe(moreButton);
}

/**
 * Show what has changed since the list was loaded. Cards of unchanged items stay. Return false if nothing was shown,
 * because another page is being loaded. Throw Problem.
 */
export async function refreshList() {
  if (pages.isLoading || !isListShown()) return false;
  const known = new Set(storedIds());
  const again = await pages.loadAgain(listedIds());
  if (!again) return false;
  if (again.isOutdated && isListInUse()) {
    setOutdated();
    return true;
  }
  pages.cursor = again.cursor;
  // What was deleted here meanwhile may be in the response.
  const stored = new Set(storedIds());
  showListed(again.items.filter(({ id }) => stored.has(id) || !known.has(id)));
  return true;
}

document.addEventListener("outdated", () => loadPage({ fromStart: true }));

/**
 * Show the list in another way. Load it again if other items are wanted, or another order.
 * @param {ListSettings} next
 */
export async function changeSettings(next) {
  const before = currentSettings();
  applySettings(next);
  if (isSameList(before, next)) return;
  pages.query = queryOf(next);
  await loadPage({ fromStart: true });
}

/** Remove all items, as at sign-out. */
export function clearGallery() {
  pages.reset();
  clearCards();
  clearStore();
  state.replaceChildren();
  moreState.replaceChildren();
}

// ----------------------------------------------------------------------------------------------- instead of the items

function showSkeletons() {
  state.replaceChildren();
  $("#empty").hidden = true;
  $("#toolbar").hidden = false;
  const skeleton = () => h("li", { class: "card skeleton", "aria-hidden": "true" }, h("div", { class: "frame" }));
  gallery.replaceChildren(...Array.from({ length: 12 }, skeleton));
}

/** @param {unknown} problem */
async function showLoadProblem(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (countOfLoaded() === 0) gallery.replaceChildren();
  // After the last card: what is above the gallery is out of view there.
  const place = pages.cursor ? moreState : state;
  if (problem.needsSignIn) await showSignIn(problem);
  else place.replaceChildren(problemBox(problem, button("Try again", () => loadPage())));
}

/**
 * Offer to sign in, below the items if there are any.
 * @param {Error} problem
 */
export async function showSignIn(problem) {
  const { signInBox } = await import("./sign-in-box.js"); // Few visits need it.
  const box = signInBox(problem, () => loadPage({ fromStart: true }));
  if (countOfLoaded() > 0) {
    moreState.replaceChildren(box);
    return;
  }
  state.replaceChildren(box);
  if (document.activeElement === document.body) $("button, input", box).focus();
}

// -------------------------------------------------------------------------------------------------------------- counts

function showCounts() {
  const loaded = countOfLoaded();
  const isBounded = hasBounds(currentSettings());
  const isEmpty = loaded === 0 && !pages.cursor && !pages.hasFailed && !pages.isLoading;
  $("#count").textContent = countText(loaded);
  $("#empty").hidden = !isEmpty || isBounded;
  $("#toolbar").hidden = isEmpty && !isBounded;
  $("#table").hidden = currentSettings().view !== "table" || loaded === 0;
  showNoMatch(isEmpty && isBounded);
  moreButton.hidden = !hasMore() || pages.isLoading;
}

/** @param {boolean} isShown */
function showNoMatch(isShown) {
  const message = $("#no-match");
  message.hidden = !isShown;
  message.textContent = isShown ? noMatchText(currentSettings()) : "";
  $("#show-all").hidden = !isShown;
}

/**
 * Return the text that is shown if no item is found.
 * @param {ListSettings} settings
 */
export function noMatchText({ added, q, filters }) {
  const period = added === DEFAULTS.added ? "" : " added in this time";
  const filterCount = filters.split("&").filter(Boolean).length;
  const wanted = [hasWord(q) && `“${q}”`, filterCount > 0 && (filterCount > 1 ? "the filters" : "the filter")];
  const text = wanted.filter(Boolean).join(" and ");
  return text ? `No item${period} matches ${text}.` : "No item was added in this time.";
}

/** A page may have fewer items than asked for although more follow. @param {number} loaded */
function countText(loaded) {
  if (pages.cursor && loaded > 0) return `Showing ${loaded.toLocaleString()}, more to come`;
  if (loaded === 0) return hasMore() ? "Searching…" : "";
  const { q, filters } = currentSettings();
  return `${plural(loaded, "item")}${hasWord(q) || filters ? " found" : ""}`;
}

document.addEventListener("gallery", showCounts);

const observer = new IntersectionObserver(([entry]) => {
  if (entry.isIntersecting && hasMore() && !pages.isLoading) loadPage();
}, { rootMargin: "600px" });
moreButton.addEventListener("click", () => loadPage());
addEventListener("online", () => (pages.hasFailed || countOfLoaded() === 0) && loadPage());
