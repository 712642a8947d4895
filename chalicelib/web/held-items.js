// New items wait while the user points at a card or has the focus on one, so that nothing moves under either.

import { $, announce, plural } from "./dom.js";

const STILL_AFTER = 1000; // milliseconds

const lists = $("#lists");
const showButton = $("#show-new");

/** Ids of items that wait, and whether the user added them here. @type {Map<string, boolean>} */
const waiting = new Map();
/** @type {(ids: string[], options: {areOwn: boolean}) => void} */
let place = () => {};
let isPointing = false;
let movedAt = -Infinity;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * Call `listener` with the ids of the items that have waited.
 * @param {(ids: string[], options: {areOwn: boolean}) => void} listener
 */
export const onRelease = (listener) => (place = listener);

/** Return whether an item from elsewhere has to wait. */
export const isListInUse = () => isPointing || hasKeyboardFocus() || lists.getBoundingClientRect().top < 0;

/** Return whether the user moves the pointer over the cards: an item that the user adds waits for the end of that. */
export const isPointerMoving = () => isPointing && performance.now() - movedAt < STILL_AFTER;

function hasKeyboardFocus() {
  const focused = document.activeElement;
  return lists.contains(focused) && Boolean(focused?.matches(":focus-visible"));
}

/**
 * Have an item wait: until the pointer rests if the user added it, otherwise until the list is not in use.
 * @param {string} id
 * @param {{isOwn: boolean}} options
 */
export function hold(id, { isOwn }) {
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
export const isHeld = (id) => waiting.has(id);

export function forgetHeld() {
  clearTimeout(timer);
  waiting.clear();
  showCount();
}

/** Show the items that have waited, either the user's own or the others. @param {boolean} areOwn */
function release(areOwn) {
  const ids = [...waiting].filter(([, isOwn]) => isOwn === areOwn).map(([id]) => id);
  if (ids.length === 0) return;
  for (const id of ids) waiting.delete(id);
  showCount();
  place(ids, { areOwn });
}

function showCount() {
  const foreign = [...waiting.values()].filter((isOwn) => !isOwn).length;
  if (foreign > 0 && showButton.hidden) announce(`${plural(foreign, "new item")} to show`);
  showButton.hidden = foreign === 0;
  showButton.textContent = `Show ${plural(foreign, "new item")}`;
}

function releaseIfUnused() {
  if (!isPointing) release(true);
  if (!isListInUse()) release(false);
}

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
  release(false);
  scrollTo({ top: 0 });
  $("[data-id] a", lists)?.focus({ preventScroll: true });
});
