// The items that are shown, as cards or as rows of a table, and those that wait while the user points at the list.
// Dispatches "gallery" on the document when they change, "emptied" before others replace all of them, and "outdated"
// when they should be loaded again.

import { $, announce, plural } from "./dom.js";
import { fieldNames } from "./field-metadata.js";
import { cardOf, chooseColumns, chosenColumns, columnsOf, headRow, rowOf } from "./item-card-and-row.js";
import { onItemStored, pendingDeletes, storeItem, storedItem } from "./item-store.js";
import { DEFAULTS, isByAge } from "./page-url.js";

const gallery = $("#gallery");
const table = $("#table");
const rows = $("tbody", table);
const lists = $("#lists");
const showButton = $("#show-new");

/** The card or row of each item, also of one that is pending delete. @type {Map<string, HTMLElement>} */
const cards = new Map();
let settings = DEFAULTS;
/** @type {ColumnChoice[]} */
let columns = [];

export const currentSettings = () => settings;

const isTable = () => settings.view === "table";
const list = () => (isTable() ? rows : gallery);

let isReporting = true;
const reportChange = () => isReporting && document.dispatchEvent(new Event("gallery"));

// -------------------------------------------------------------------------------------------------------------- cards

/** @param {string} id */
const newCard = (id) =>
  (isTable() ? rowOf(storedItem(id), shownColumns()) : cardOf(storedItem(id)));

/**
 * Store the items of a page, and show them.
 * @param {Item[]} items
 * @param {{isFirst: boolean}} options whether they replace all others
 */
export function showPage(items, { isFirst }) {
  if (isFirst) removeAll();
  items.forEach((item) => storeItem(item));
  if (isFirst) setColumns(items);
  for (const { id } of items) {
    rankLast(id);
    insertCard(id);
  }
  reportChange();
}

export function clearCards() {
  removeAll();
  reportChange();
}

function removeAll() {
  forgetHeld();
  cards.clear();
  ranks.clear();
  gallery.replaceChildren();
  rows.replaceChildren();
  document.dispatchEvent(new Event("emptied"));
}

/**
 * Store an item that the user has added, and show its card, as soon as the pointer does not move over the cards.
 * @param {Item} item
 * @param {string | null} [etag]
 */
export function showCard(item, etag = null) {
  storeItem(item, etag);
  waiting.delete(item.id);
  addCard(item.id, { isOwn: true, isHeldBack: isPointerMoving() });
}

/**
 * Show what the API lists now in place of what it listed before. Cards of unchanged items stay as they are. While the
 * list is in use, new items wait, and the others keep their order.
 * @param {Item[]} items
 */
export function showListed(items) {
  isReporting = false; // Once at the end is enough, because each report goes through all cards.
  try {
    replaceListed(items);
  } finally {
    isReporting = true;
  }
  reportChange();
}

/** @param {Item[]} items */
function replaceListed(items) {
  const isHeldBack = isListInUse();
  if (cards.size === 0) setColumns(items);
  items.forEach((item) => storeItem(item));
  const listed = items.map(({ id }) => id);
  const kept = removeUnlisted(new Set(listed));
  ranks.clear();
  [...listed, ...kept].forEach(rankLast);
  for (const id of listed) addCard(id, { isOwn: false, isHeldBack });
  isUnsorted = true;
  releaseIfUnused();
  showCount();
}

/**
 * Remove the cards of items that the API listed before, and does not list now. Return the ids of those that stay,
 * because the user is typing in them.
 * @param {Set<string>} listed
 */
function removeUnlisted(listed) {
  const gone = [...ranks.keys()].filter((id) => !listed.has(id) && isListed(id));
  const kept = gone.filter((id) => cards.has(id) && $(".renaming", cards.get(id)));
  const removed = gone.filter((id) => !kept.includes(id));
  removed.forEach((id) => waiting.delete(id));
  const hadFocus = removed.some((id) => cards.get(id)?.contains(document.activeElement));
  const neighbour = removed.length > 0 && removeCards(removed);
  if (hadFocus) (neighbour ? $("a", neighbour) : $("#new")).focus();
  return kept;
}

/** @param {string} id @param {{isOwn: boolean, isHeldBack: boolean}} options */
function addCard(id, { isOwn, isHeldBack }) {
  if (pendingDeletes.has(id)) return;
  if (isHeldBack && !cards.has(id) && !isLast(id)) hold(id, { isOwn });
  else insertCard(id);
  if (isOwn) reportChange();
}

/** @param {string} id */
function insertCard(id) {
  if (cards.has(id) || pendingDeletes.has(id)) return;
  cards.set(id, newCard(id));
  placeCard(id);
}

/**
 * The places of the items that were listed by the API. Others come first: their place is known only to the API.
 * @type {Map<string, number>}
 */
const ranks = new Map();

/** Return the ids of the items that the API has listed, in their order. */
export const listedIds = () => [...ranks.keys()];

/** @param {string} id */
const rankLast = (id) => ranks.has(id) || ranks.set(id, ranks.size);

/** @param {string} id */
const rankOf = (id) => ranks.get(id) ?? -1;

/** Return whether an item comes before another. Ids sort by age. @param {string} one @param {string} other */
function isBefore(one, other) {
  if (!isByAge(settings.order)) return rankOf(one) < rankOf(other);
  return settings.order === "desc" ? one > other : one < other;
}

/** @param {string} id */
const isLast = (id) => !list().lastElementChild || isBefore(list().lastElementChild.dataset.id, id);

/** Whether the cards may not be in the order of the API. */
let isUnsorted = false;

function sortCards() {
  isUnsorted = false;
  if (isByAge(settings.order)) return;
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  const sorted = placedCards().sort((one, other) => rankOf(one.dataset.id ?? "") - rankOf(other.dataset.id ?? ""));
  sorted.forEach((card, place) => {
    const now = list().children[place];
    if (now !== card) now.before(card);
  });
  focused.focus({ preventScroll: true });
}

/** @param {string} id */
function placeCard(id) {
  const card = /** @type {HTMLElement} */ (cards.get(id));
  const previous = [...list().children].findLast(({ dataset }) => dataset.id && isBefore(dataset.id, id));
  if (previous) previous.after(card);
  else list().prepend(card);
}

/** @param {string} id */
export const isListed = (id) => cards.has(id) || isHeld(id);

/** Return an item's card or row. @param {string} id */
export const cardElement = (id) => cards.get(id);

/**
 * Hide the cards of items. Return the card that is then beside the last one, or null.
 * @param {string[]} ids
 */
export function hideCards(ids) {
  const hidden = new Set(ids);
  const shown = shownIds();
  const last = shown.findLastIndex((id) => hidden.has(id));
  const isLeft = (/** @type {string} */ id) => !hidden.has(id);
  const neighbour = shown.slice(last + 1).find(isLeft) ?? shown.slice(0, Math.max(last, 0)).findLast(isLeft);
  for (const id of ids) cards.get(id)?.remove();
  reportChange();
  return (neighbour && cards.get(neighbour)) || null;
}

/**
 * Show the card of a hidden item again, and return it.
 * @param {string} id
 */
export function restoreCard(id) {
  pendingDeletes.delete(id);
  cards.set(id, newCard(id));
  placeCard(id);
  reportChange();
  return cards.get(id);
}

/**
 * Remove the cards of items. Return the card that is then beside the last one, or null.
 * @param {string[]} ids
 */
export function removeCards(ids) {
  const neighbour = hideCards(ids);
  for (const id of ids) cards.delete(id);
  return neighbour;
}

const placedCards = () => /** @type {HTMLElement[]} */ ([...list().children]).filter(({ dataset }) => dataset.id);

/** Return the ids of the items that are shown, in their order. */
export const shownIds = () => placedCards().map(({ dataset }) => dataset.id ?? "");

/** Return how many items are in the list. */
export const countOfLoaded = () => placedCards().length;

/**
 * Return the id of the item so many cards after another, or before it if `steps` is negative.
 * @param {string} id
 * @param {number} steps
 * @returns {string | null}
 */
export function neighbourId(id, steps) {
  const ids = shownIds();
  const index = ids.indexOf(id);
  return (index >= 0 && ids[index + steps]) || null;
}

// ------------------------------------------------------------------------------------------------------------- redraw

onItemStored((item, before) => {
  const card = cards.get(item.id);
  if (!card || before?.version === item.version) return;
  redraw(card, newCard(item.id));
  reportChange();
});

/**
 * Give a card the content of another. Keep the focus, a name that is being edited, and a picture that is the same.
 * @param {HTMLElement} card
 * @param {HTMLElement} next
 */
function redraw(card, next) {
  const controls = () => /** @type {HTMLElement[]} */ ([...card.querySelectorAll("a, button, input")]);
  const focused = controls().findIndex((one) => one === document.activeElement);
  const parts = [...card.children];
  [...next.children].forEach((part, index) => {
    if (!isKept(parts[index], part)) parts[index].replaceWith(part);
  });
  if (!card.contains(document.activeElement)) controls()[focused]?.focus();
}

/** @param {Element} part @param {Element} next */
function isKept(part, next) {
  const [shown, wanted] = [part, next].map((one) => one.closest("[data-picture]") ?? $("[data-picture]", one));
  return $(".renaming", part) !== null || (wanted && shown?.dataset.picture === wanted.dataset.picture);
}

/** Draw all items again, in their order. */
function redrawAll() {
  const ids = [...gallery.children, ...rows.children].map(({ dataset }) => dataset.id).filter(Boolean);
  for (const id of cards.keys()) cards.set(id, newCard(id));
  gallery.replaceChildren();
  rows.replaceChildren();
  for (const id of ids) placeCard(id);
  reportChange();
}

/** Return whether the picture of a listed item is being made. */
export const hasUnfinishedPicture = () =>
  [...cards.keys()].some((id) => ["pending", "processing"].includes(storedItem(id).image?.status ?? ""));

// ----------------------------------------------------------------------------------------------------- items that wait

const STILL_AFTER = 1000; // milliseconds

/** Ids of items that wait, and whether the user added them here. @type {Map<string, boolean>} */
const waiting = new Map();
/** Whether so many items are new that the list has to be loaded again. */
let isOutdated = false;
let isPointing = false;
let movedAt = -Infinity;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Return whether an item from elsewhere has to wait. */
export const isListInUse = () => isPointing || hasKeyboardFocus() || lists.getBoundingClientRect().top < 0;

/** Return whether the user moves the pointer over the cards: an item that the user adds waits for the end of that. */
const isPointerMoving = () => isPointing && performance.now() - movedAt < STILL_AFTER;

function hasKeyboardFocus() {
  const focused = document.activeElement;
  return lists.contains(focused) && Boolean(focused?.matches(":focus-visible"));
}

/**
 * Have an item wait: until the pointer rests if the user added it, otherwise until the list is not in use.
 * @param {string} id
 * @param {{isOwn: boolean}} options
 */
function hold(id, { isOwn }) {
  waiting.set(id, isOwn);
  if (isOwn) releaseOwnLater();
  showCount();
}

function releaseOwnLater() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (isPointerMoving()) releaseOwnLater();
    else release(true);
  }, STILL_AFTER);
}

/** @param {string} id */
const isHeld = (id) => waiting.has(id);

/** Have the list loaded again as soon as it is not in use. */
export function setOutdated() {
  isOutdated = true;
  showCount();
  releaseIfUnused();
}

function forgetHeld() {
  clearTimeout(timer);
  waiting.clear();
  isOutdated = false;
  showCount();
}

/** Show the items that have waited, either the user's own or the others. @param {boolean} areOwn */
function release(areOwn) {
  const ids = [...waiting].filter(([, isOwn]) => isOwn === areOwn).map(([id]) => id);
  if (ids.length === 0) return;
  for (const id of ids) waiting.delete(id);
  showCount();
  ids.forEach(insertCard);
  reportChange();
}

function showCount() {
  const foreign = [...waiting.values()].filter((isOwn) => !isOwn).length;
  const text = isOutdated ? "Show new items" : `Show ${plural(foreign, "new item")}`;
  const isNeeded = isOutdated || foreign > 0;
  if (isNeeded && showButton.hidden) announce(`${text.slice("Show ".length)} to show`);
  showButton.hidden = !isNeeded;
  showButton.textContent = text;
}

function releaseIfUnused() {
  if (!isPointing) release(true);
  if (isListInUse()) return;
  if (isOutdated) reportOutdated();
  release(false);
  if (isUnsorted) sortCards();
}

const reportOutdated = () => document.dispatchEvent(new Event("outdated"));

lists.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  isPointing = Boolean(/** @type {Element} */ (event.target).closest("[data-id]"));
  movedAt = performance.now();
});
lists.addEventListener("pointerleave", () => {
  isPointing = false;
  releaseIfUnused();
});
lists.addEventListener("focusout", () => queueMicrotask(releaseIfUnused));
showButton.addEventListener("click", () => {
  if (isOutdated) reportOutdated();
  release(false);
  scrollTo({ top: 0 });
  $("[data-id] a", lists)?.focus({ preventScroll: true });
});

// ------------------------------------------------------------------------------------------------ settings and columns

/**
 * Show the items in another view.
 * @param {ListSettings} next
 */
export function applySettings(next) {
  const isOtherView = next.view !== settings.view;
  settings = next;
  document.body.dataset.density = next.density;
  document.body.dataset.view = next.view;
  if (isOtherView) {
    setColumns(loadedItems());
    redrawAll();
  }
  reportChange();
}

const loadedItems = () => [...cards.keys()].map(storedItem);

/** Return all columns of the table, in their order. */
export const allColumns = () => columns;

const shownColumns = () => columns.filter(({ isShown }) => isShown);

/** @param {Item[]} items that tell which fields there are */
function setColumns(items) {
  columns = columnsOf(fieldNames(items), chosenColumns(), items);
  $("thead", table).replaceChildren(headRow(shownColumns(), items));
}

/**
 * Show these columns, and remember that.
 * @param {string[] | null} ids null for those that are shown by default
 */
export function showColumns(ids) {
  // A column that was chosen may be missing only because these items do not have its field.
  const missing = (chosenColumns() ?? []).filter((id) => !columns.some((column) => column.id === id));
  chooseColumns(ids && [...ids, ...missing]);
  setColumns(loadedItems());
  redrawAll();
}

/** Return the names of all fields that the items have, or can have. */
export const allFieldNames = () => fieldNames(loadedItems());
