// The gallery: the items that were listed, page by page, or made here; or the way in for those not signed in.

import { Problem, call } from "./api.js";
import { $, button, h, plural, problemBox } from "./dom.js";
import { cardOf, forgetAll, keep, known, leaving, textOf, watch } from "./items.js";
import { canSignIn, setToken, signIn, token } from "./session.js";
import { busy, follow } from "./work.js";

const gallery = $("#gallery");
const state = $("#state");
const more = $("#more");
const moreState = $("#more-state");

const PAGE = 24;
const cards = new Map();
/** Which items, and in which order, in the API's own words. */
let query = { order: "desc" };
let words = "";
let cursor = null;
let loading = false;
/** Whether the last answer was a refusal: then nothing is asked for until somebody says so, or the line is back. */
let failed = false;
/** Counts what was asked for afresh: an answer to something older is not shown any more. */
let turn = 0;

// --------------------------------------------------------------------------------------------------------- loading

/** Loads the next page, or with `afresh` the first one again, in place of all that is shown. */
export async function load({ afresh = false } = {}) {
  if (loading && !afresh) return;
  const mine = (turn += 1);
  loading = true;
  failed = false;
  if (afresh) cursor = null;
  if (cards.size === 0) skeletons();
  gallery.setAttribute("aria-busy", "true");
  more.hidden = true;
  moreState.replaceChildren();
  try {
    const { items, nextCursor } = await page(cursor);
    if (mine !== turn) return;
    if (!cursor) clear();
    cursor = nextCursor;
    for (const item of items) show(item);
    state.replaceChildren();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (mine !== turn) return;
    failed = true;
    showProblem(problem);
  } finally {
    if (mine === turn) settle();
  }
}

async function page(after, limit = PAGE) {
  const { data } = await call("GET", `items?${new URLSearchParams({ limit, ...query, ...(after && { cursor: after }) })}`);
  if (!Array.isArray(data?.items)) throw new Problem({ message: "The answer is not a list of items. Is something else running at this address?" });
  return data;
}

function settle() {
  loading = false;
  gallery.removeAttribute("aria-busy");
  more.hidden = !cursor || failed;
  sum();
  // It tells only of changes: what stays in view, as a page may hold no item at all, would never be told of again.
  observer.unobserve(more);
  observer.observe(more);
}

/** Shows what was made elsewhere since the gallery was loaded, and leaves all else where it is. */
export async function catchUp() {
  if (query.order !== "desc" || cards.size === 0) return load({ afresh: true });
  const mine = turn;
  try {
    let found;
    for (let pages = 0, next = null; pages < 20; pages += 1, next = found.nextCursor) {
      found = await page(next, 100);
      if (mine !== turn) return undefined;
      const met = found.items.some((item) => cards.has(item.id));
      for (const item of found.items) show(item);
      if (met || !found.nextCursor) return sum();
    }
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return showProblem(problem);
  }
  return load({ afresh: true });
}

/** Shows other items, or in another order: `next` is what changes in the API's query, null for what it no longer says. */
export function lookFor(next) {
  query = Object.fromEntries(Object.entries({ ...query, ...next }).filter(([, value]) => value !== null));
  return load({ afresh: true });
}

/** Empties the gallery, as when somebody signs out: whatever was asked for before will not be shown. */
export function reset() {
  turn += 1;
  loading = false;
  cursor = null;
  clear();
  forgetAll();
  state.replaceChildren();
  moreState.replaceChildren();
}

function clear() {
  cards.clear();
  gallery.replaceChildren();
}

function skeletons() {
  state.replaceChildren();
  $("#empty").hidden = true;
  $("#toolbar").hidden = false;
  gallery.replaceChildren(...Array.from({ length: 12 }, () => h("li", { class: "card skeleton", "aria-hidden": "true" }, h("div", { class: "frame" }))));
}

function showProblem(problem) {
  if (cards.size === 0) gallery.replaceChildren();
  if (problem.signIn) return showSignIn(problem);
  // Beside what it is about: whoever has scrolled to the end does not see what is above the gallery.
  (cursor ? moreState : state).replaceChildren(problemBox(problem, button("Try again", () => load())));
  return undefined;
}

/** Offers to sign in, in place of the items. */
export function showSignIn(problem) {
  const box = signInBox(problem, () => load({ afresh: true }));
  if (cards.size > 0) return moreState.replaceChildren(box);
  state.replaceChildren(box);
  if (document.activeElement === document.body) $("button, input", box).focus();
  return undefined;
}

// ------------------------------------------------------------------------------------------------------------- sign-in

/** Offers the issuer's page, or a field for a token where the console knows none; `entered()` is called with a token. */
export function signInBox(problem, entered) {
  const trouble = h("div");
  const begin = () => signIn({ route: location.hash }).catch((failure) => trouble.replaceChildren(problemBox(failure)));
  return h("div", { class: "sign-in" },
    h("h2", {}, "Sign in to see the items"), problem.status === undefined ? problemBox(problem) : h("p", {}, reason()),
    canSignIn && h("div", { class: "row" }, button("Sign in", begin, { class: "primary" })), trouble,
    canSignIn ? h("details", {}, h("summary", {}, "Use a token instead"), tokenForm(entered)) : tokenForm(entered),
    problem.requestId && h("p", { class: "request" }, `${problem.error} · request `, h("code", {}, problem.requestId)));
}

function reason() {
  if (!token()) return "This stage shows items only to people who have signed in.";
  return canSignIn ? "Your session is over." : "The token was not accepted. It may have expired, or come from another issuer.";
}

/** Takes a token from elsewhere, then calls `entered()`. */
export function tokenForm(entered) {
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: false });
  const submit = (event) => {
    event.preventDefault();
    event.stopPropagation(); // It may be inside another form's dialog.
    setToken(input.value);
    entered();
  };
  return h("form", { class: "token-form", onsubmit: submit },
    h("label", {}, "Bearer token", input),
    h("p", { class: "note" }, "It is kept in this tab only, and gone when the tab is closed."),
    h("div", { class: "row" }, h("button", {}, "Use it")));
}

// ----------------------------------------------------------------------------------------------------------- cards

/** Shows an item: where its card is, else where the order of ids has it. */
export function show(item, etag = null) {
  const { item: newest } = keep(item, etag);
  if (cards.has(item.id) || leaving.has(item.id)) return;
  cards.set(item.id, cardOf(newest));
  place(item.id);
  followIfRendering(newest);
}

/** Ids sort by the time when they were made. */
function place(id) {
  const card = cards.get(id);
  const earlier = query.order === "desc" ? (other) => other.dataset.id > id : (other) => other.dataset.id < id;
  const before = [...gallery.children].findLast(earlier);
  if (before) before.after(card);
  else gallery.prepend(card);
  card.hidden = !matches(known(id).item);
}

watch((item, before) => {
  const card = cards.get(item.id);
  if (!card || before?.version === item.version) return;
  const fresh = cardOf(item);
  const focused = card.contains(document.activeElement);
  fresh.hidden = card.hidden;
  card.replaceWith(fresh);
  cards.set(item.id, fresh);
  if (focused) $("a", fresh).focus();
  followIfRendering(item);
});

/** Makes sure that an item just made is seen: words to filter by that are not in it are taken back. */
export function reveal(id) {
  if (!cards.get(id)?.hidden) return sum();
  $("#find").value = "";
  return filter("");
}

/** Takes a card away; gives the one after it, or null. */
export function hide(id) {
  const card = cards.get(id);
  const next = beside(id, 1) ?? beside(id, -1);
  card?.remove();
  sum();
  return next && cards.get(next);
}

/** Shows an item again that was on its way out, as it is by now. */
export function comeBack(id) {
  leaving.delete(id);
  if (!cards.has(id)) cards.set(id, cardOf(known(id).item));
  place(id);
  sum();
  return cards.get(id);
}

/** Takes an item off for good. */
export function drop(id) {
  hide(id);
  cards.delete(id);
}

/** The id of the item that is shown so many places after (or before) another, or null. */
export function beside(id, steps) {
  const shown = [...gallery.children].filter((card) => !card.hidden && card.dataset.id);
  const at = shown.findIndex((card) => card.dataset.id === id);
  return (at >= 0 && shown[at + steps]?.dataset.id) || null;
}

/** Whether there are items after those that are shown. */
export const hasMore = () => cursor !== null && !failed && words === "";

const followed = new Set();

/** A picture that something else renders is followed until it is there. */
function followIfRendering({ id, image }) {
  if (!["pending", "processing"].includes(image?.status) || busy.has(id) || followed.has(id)) return;
  followed.add(id);
  follow(id, (_, item, etag) => keep(item, etag)).finally(() => followed.delete(id));
}

// ------------------------------------------------------------------------------------------------------- what is shown

const matches = (item) => words.split(/\s+/).every((word) => textOf(item).includes(word));

/** Shows only those of the loaded items that say all of these words. */
export function filter(text) {
  words = text.trim().toLowerCase();
  for (const [id, card] of cards) card.hidden = !matches(known(id).item);
  sum();
}

/** Says how many items are shown, and what to do where there are none. */
function sum() {
  const all = [...gallery.children].filter((card) => card.dataset.id);
  const shown = all.filter((card) => !card.hidden);
  const none = all.length === 0 && !cursor && !failed && !loading;
  const bounded = "createdAfter" in query || "createdBefore" in query;
  $("#count").textContent = all.length === 0 ? "" : words ? `${shown.length} of ${plural(all.length, "item")}${cursor ? " loaded" : ""}`
    : `${plural(all.length, "item")}${cursor ? " loaded, more to come" : ""}`;
  $("#empty").hidden = !none || bounded;
  $("#none").hidden = !(none && bounded) && !(all.length > 0 && shown.length === 0);
  $("#toolbar").hidden = none && !bounded;
  document.dispatchEvent(new Event("gallery"));
}

const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && cursor && !failed && !loading && !words && load(), { rootMargin: "600px" });
more.addEventListener("click", () => load());
addEventListener("online", () => (failed || cards.size === 0) && load());
