// Loads the items, and says what was loaded: their number, that there are none, what failed, or that sign-in is needed.

import { Problem } from "./api.js";
import { $, button, h, plural, problemBox } from "./dom.js";
import {
  applySettings, clearCards, countOfLoaded, currentSettings, isListed, showNewer, showPage, shownIds,
} from "./gallery.js";
import { ItemPages } from "./item-pages.js";
import { clearStore } from "./item-store.js";
import { queryOf } from "./list-settings.js";
import { signInBox } from "./sign-in-box.js";

const gallery = $("#gallery");
const lists = $("#lists");
const state = $("#state");
const moreButton = $("#more");
const moreState = $("#more-state");
const searchButton = $("#search-on");

const pages = new ItemPages();
/** Whether pages are loaded until one has a match for the filter. */
let isSearching = false;

const isFiltered = () => currentSettings().filter.trim() !== "";

/** Return whether the list goes on after its last item. */
export const hasMore = () => pages.hasMore && !isFiltered();

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
    showLoadProblem(problem);
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

/** Show items that were created elsewhere since the list was loaded. Other cards stay. */
export async function loadNewer() {
  if (currentSettings().order !== "desc" || countOfLoaded() === 0) return loadPage({ fromStart: true });
  try {
    const newer = await pages.fetchNewer(isListed);
    if (!newer) return loadPage({ fromStart: true });
    return showNewer(newer);
  } catch (problem) {
    return showLoadProblem(problem);
  }
}

/** Load pages until one has a match for the filter, or there are no more. */
async function searchOn() {
  const { filter } = currentSettings();
  const before = shownIds().length;
  const isWanted = () => isSearching && pages.hasMore && currentSettings().filter === filter;
  isSearching = true;
  while (isWanted() && shownIds().length === before) await loadPage();
  isSearching = false;
  showCounts();
}

/**
 * Show the list in another way. Load it again if other items are wanted, or another order.
 * @param {ListSettings} next
 */
export async function changeSettings(next) {
  const { order, added } = currentSettings();
  isSearching = false;
  applySettings(next);
  if (order === next.order && added === next.added) return;
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
function showLoadProblem(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (countOfLoaded() === 0) gallery.replaceChildren();
  if (problem.needsSignIn) return showSignIn(problem);
  // After the last card: what is above the gallery is out of view there.
  (pages.cursor ? moreState : state).replaceChildren(problemBox(problem, button("Try again", () => loadPage())));
  return undefined;
}

/**
 * Offer to sign in, below the items if there are any.
 * @param {Error} problem
 */
export function showSignIn(problem) {
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
  const [shown, loaded] = [shownIds().length, countOfLoaded()];
  const { added, view } = currentSettings();
  const isEmpty = loaded === 0 && !pages.cursor && !pages.hasFailed && !pages.isLoading;
  const hasBounds = added !== "any";
  $("#count").textContent = countText(shown, loaded);
  $("#empty").hidden = !isEmpty || hasBounds;
  $("#toolbar").hidden = isEmpty && !hasBounds;
  $("#table").hidden = view !== "table" || loaded === 0;
  showNoMatch(loaded, loaded > 0 ? shown === 0 : isEmpty && hasBounds);
  showMore(loaded);
}

/** @param {number} loaded @param {boolean} isShown */
function showNoMatch(loaded, isShown) {
  $("#no-match").hidden = !isShown;
  $("#no-match p").textContent = isShown ? noMatchText(loaded) : "";
}

/** Of a filtered list, further pages are loaded only if the user asks for that. @param {number} loaded */
function showMore(loaded) {
  searchButton.hidden = !isFiltered() || !pages.cursor || loaded === 0;
  searchButton.textContent = isSearching ? "Stop" : "Look through more";
  moreButton.hidden = !hasMore() || pages.isLoading;
}

/** @param {number} shown @param {number} loaded */
function countText(shown, loaded) {
  if (loaded === 0) return "";
  if (isFiltered()) return `${shown.toLocaleString()} of ${plural(loaded, "item")}${pages.cursor ? " loaded" : ""}`;
  return `${plural(loaded, "item")}${pages.cursor ? " loaded, more to come" : ""}`;
}

/** Say what was looked through. @param {number} loaded */
function noMatchText(loaded) {
  if (loaded === 0) return "No item was added in this time.";
  if (!pages.cursor) return `No match: ${plural(loaded, "item")} looked through.`;
  return `No match among the ${plural(loaded, "item")} loaded. There are more.`;
}

document.addEventListener("gallery", showCounts);

const observer = new IntersectionObserver(([entry]) => {
  if (entry.isIntersecting && hasMore() && !pages.isLoading) loadPage();
}, { rootMargin: "600px" });
moreButton.addEventListener("click", () => loadPage());
searchButton.addEventListener("click", () => {
  if (isSearching) isSearching = false;
  else searchOn();
});
addEventListener("online", () => (pages.hasFailed || countOfLoaded() === 0) && loadPage());
