// The gallery: the cards of the items.

import { Problem, call } from "./api.js";
import { $, button, h, plural, problemBox } from "./dom.js";
import { cardOf } from "./item-card.js";
import { containsWords } from "./item-fields.js";
import { clearStore, onItemStored, pendingDeletes, storeItem, storedItem } from "./item-store.js";
import { signInBox } from "./sign-in-box.js";

const gallery = $("#gallery");
const state = $("#state");
const moreButton = $("#more");
const moreState = $("#more-state");

const PAGE_SIZE = 24;
const MAX_NEWER_PAGES = 20;
const NEWER_PAGE_SIZE = 100;

/** @type {Map<string, HTMLLIElement>} */
const cards = new Map();
/** Parameters of `GET /items`. @type {Record<string, string>} */
let query = { order: "desc" };
/** What the cards are filtered by, in lower case. */
let words = "";
/** @type {string | null} */
let cursor = null;
let isLoading = false;
/** Whether a page could not be loaded. Only the user, or being online again, tries again. */
let hasFailed = false;
/** Responses to older loads are ignored. */
let loadNumber = 0;

// ------------------------------------------------------------------------------------------------------------ loading

/**
 * Load the next page; with `fromStart`, replace all cards by the first.
 * @param {{fromStart?: boolean}} [options]
 */
export async function loadPage({ fromStart = false } = {}) {
  if (isLoading && !fromStart) return;
  loadNumber += 1;
  const mine = loadNumber;
  showLoading(fromStart);
  try {
    const page = await fetchPage(cursor, PAGE_SIZE);
    if (mine !== loadNumber) return;
    if (!cursor) clearCards();
    cursor = page.nextCursor;
    page.items.forEach((item) => showCard(item));
    state.replaceChildren();
  } catch (problem) {
    if (mine !== loadNumber) return;
    hasFailed = true;
    showLoadProblem(problem);
  } finally {
    if (mine === loadNumber) showLoaded();
  }
}

/** @param {boolean} fromStart */
function showLoading(fromStart) {
  isLoading = true;
  hasFailed = false;
  if (fromStart) cursor = null;
  if (cards.size === 0) showSkeletons();
  gallery.setAttribute("aria-busy", "true");
  moreButton.hidden = true;
  moreState.replaceChildren();
}

function showLoaded() {
  isLoading = false;
  gallery.removeAttribute("aria-busy");
  moreButton.hidden = !cursor || hasFailed;
  updateCount();
  // An observer reports changes only, and a page that adds no card leaves the button in view.
  observer.unobserve(moreButton);
  observer.observe(moreButton);
}

/**
 * @param {string | null} after
 * @param {number} limit
 * @returns {Promise<{items: Item[], nextCursor: string | null}>}
 */
async function fetchPage(after, limit) {
  const parameters = new URLSearchParams({ ...query, limit: String(limit), ...(after && { cursor: after }) });
  const { data } = await call("GET", `items?${parameters}`);
  if (Array.isArray(data?.items)) return data;
  throw new Problem({ message: "The response is not a list of items. Is another program at this address?" });
}

/** Show items that were created elsewhere since the gallery was loaded. Other cards stay. */
export async function loadNewer() {
  if (query.order !== "desc" || cards.size === 0) return loadPage({ fromStart: true });
  try {
    if (await showNewer(loadNumber)) return undefined;
  } catch (problem) {
    return showLoadProblem(problem);
  }
  return loadPage({ fromStart: true });
}

/** Return false if there are too many newer items. @param {number} mine */
async function showNewer(mine) {
  let after = null;
  for (let pages = 0; pages < MAX_NEWER_PAGES; pages += 1) {
    const page = await fetchPage(after, NEWER_PAGE_SIZE);
    if (mine !== loadNumber) return true;
    const isCaughtUp = page.items.some((item) => cards.has(item.id)) || !page.nextCursor;
    page.items.forEach((item) => showCard(item));
    if (isCaughtUp) {
      updateCount();
      return true;
    }
    after = page.nextCursor;
  }
  return false;
}

/**
 * Change parameters of `GET /items`, and load the items again.
 * @param {Record<string, string | null>} changes
 */
export function setQuery(changes) {
  const merged = Object.entries({ ...query, ...changes });
  query = /** @type {Record<string, string>} */ (Object.fromEntries(merged.filter(([, value]) => value !== null)));
  return loadPage({ fromStart: true });
}

/** Remove all items, as at sign-out. */
export function clearGallery() {
  loadNumber += 1;
  isLoading = false;
  cursor = null;
  clearCards();
  clearStore();
  state.replaceChildren();
  moreState.replaceChildren();
}

function clearCards() {
  cards.clear();
  gallery.replaceChildren();
}

function showSkeletons() {
  state.replaceChildren();
  $("#empty").hidden = true;
  $("#toolbar").hidden = false;
  const skeleton = () => h("li", { class: "card skeleton", "aria-hidden": "true" }, h("div", { class: "frame" }));
  gallery.replaceChildren(...Array.from({ length: 12 }, skeleton));
}

/** @param {unknown} problem */
function showLoadProblem(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (cards.size === 0) gallery.replaceChildren();
  if (problem.needsSignIn) return showSignIn(problem);
  // After the last card: what is above the gallery is out of view there.
  (cursor ? moreState : state).replaceChildren(problemBox(problem, button("Try again", () => loadPage())));
  return undefined;
}

/**
 * Offer to sign in, below the items if there are any.
 * @param {Error} problem
 */
export function showSignIn(problem) {
  const box = signInBox(problem, () => loadPage({ fromStart: true }));
  if (cards.size > 0) {
    moreState.replaceChildren(box);
    return;
  }
  state.replaceChildren(box);
  if (document.activeElement === document.body) $("button, input", box).focus();
}

// -------------------------------------------------------------------------------------------------------------- cards

/**
 * Store an item and show its card, in the order of ids, which sort by creation time.
 * @param {Item} item
 * @param {string | null} [etag]
 */
export function showCard(item, etag = null) {
  const { item: newest } = storeItem(item, etag);
  if (cards.has(item.id) || pendingDeletes.has(item.id)) return;
  cards.set(item.id, cardOf(newest));
  placeCard(item.id);
  followPicture(newest);
}

/** @param {string} id */
function placeCard(id) {
  const card = /** @type {HTMLLIElement} */ (cards.get(id));
  const isBefore = (/** @type {any} */ { dataset }) => (query.order === "desc" ? dataset.id > id : dataset.id < id);
  const previous = [...gallery.children].findLast(isBefore);
  if (previous) previous.after(card);
  else gallery.prepend(card);
  card.hidden = !matchesFilter(id);
}

onItemStored((item, before) => {
  const card = cards.get(item.id);
  if (!card || before?.version === item.version) return;
  const replacement = cardOf(item);
  const hasFocus = card.contains(document.activeElement);
  replacement.hidden = card.hidden;
  card.replaceWith(replacement);
  cards.set(item.id, replacement);
  if (hasFocus) $("a", replacement).focus();
  followPicture(item);
});

/**
 * Clear the filter if it hides an item.
 * @param {string} id
 */
export function ensureVisible(id) {
  if (!cards.get(id)?.hidden) {
    updateCount();
    return;
  }
  $("#find").value = "";
  filterCards("");
}

/**
 * Hide a card. Return the card beside it, or null.
 * @param {string} id
 */
export function hideCard(id) {
  const neighbour = neighbourId(id, 1) ?? neighbourId(id, -1);
  cards.get(id)?.remove();
  updateCount();
  return neighbour && cards.get(neighbour);
}

/**
 * Show the card of a hidden item again, and return it.
 * @param {string} id
 */
export function restoreCard(id) {
  pendingDeletes.delete(id);
  if (!cards.has(id)) cards.set(id, cardOf(storedItem(id)));
  placeCard(id);
  updateCount();
  return cards.get(id);
}

/** @param {string} id */
export function removeCard(id) {
  hideCard(id);
  cards.delete(id);
}

/**
 * Return the id of the item so many cards after another, or before it if `steps` is negative.
 * @param {string} id
 * @param {number} steps
 * @returns {string | null}
 */
export function neighbourId(id, steps) {
  const visible = [...gallery.children].filter((card) => !card.hidden && card.dataset.id);
  const index = visible.findIndex((card) => card.dataset.id === id);
  return (index >= 0 && visible[index + steps]?.dataset.id) || null;
}

export const hasMore = () => cursor !== null && !hasFailed && words === "";

/** @type {Set<string>} */
const followed = new Set();

/** Show a picture that is being rendered when it is ready. @param {Item} item */
async function followPicture({ id, image }) {
  if (!["pending", "processing"].includes(image?.status ?? "") || followed.has(id)) return;
  followed.add(id);
  try {
    const { followStatus } = await import("./picture-polling.js"); // Few galleries need it.
    await followStatus(id);
  } catch {
    // The card stays as it is.
  } finally {
    followed.delete(id);
  }
}

// ---------------------------------------------------------------------------------------------------- filter and count

/** @param {string} id */
const matchesFilter = (id) => containsWords(storedItem(id), words);

/**
 * Show only items whose fields contain every word of `text`.
 * @param {string} text
 */
export function filterCards(text) {
  words = text.trim().toLowerCase();
  for (const [id, card] of cards) card.hidden = !matchesFilter(id);
  updateCount();
}

function updateCount() {
  const all = [...gallery.children].filter((card) => card.dataset.id);
  const visible = all.filter((card) => !card.hidden).length;
  const isEmpty = all.length === 0 && !cursor && !hasFailed && !isLoading;
  const hasBounds = "createdAfter" in query || "createdBefore" in query;
  $("#count").textContent = countText(visible, all.length);
  $("#empty").hidden = !isEmpty || hasBounds;
  $("#no-match").hidden = !(isEmpty && hasBounds) && !(all.length > 0 && visible === 0);
  $("#toolbar").hidden = isEmpty && !hasBounds;
  document.dispatchEvent(new Event("gallery"));
}

/** @param {number} visible @param {number} total */
function countText(visible, total) {
  if (total === 0) return "";
  if (words) return `${visible} of ${plural(total, "item")}${cursor ? " loaded" : ""}`;
  return `${plural(total, "item")}${cursor ? " loaded, more to come" : ""}`;
}

const canLoadMore = () => hasMore() && !isLoading;
const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && canLoadMore() && loadPage(), {
  rootMargin: "600px",
});
moreButton.addEventListener("click", () => loadPage());
addEventListener("online", () => (hasFailed || cards.size === 0) && loadPage());
