// The selected items, and the bar with the actions on all of them.

import { Problem } from "./api.js";
import { copyLinks } from "./copy-links.js";
import { $, announce, button, h, showErrorNotice, targetOf } from "./dom.js";
import { EXPIRES_AT } from "./field-metadata.js";
import { cardElement, currentSettings, shownIds } from "./gallery.js";
import { startRenaming } from "./item-rename.js";
import { pendingDeletes, storeItem, storedItem } from "./item-store.js";
import { deleteItems } from "./item-writes.js";
import { loadExports, loadSetField } from "./lazy-modules.js";
import { fetchRest, hasMore } from "./list-loading.js";
import { hasBounds, itemLink } from "./page-url.js";
import { retry } from "./poll-and-retry.js";

/** @type {Set<string>} */
const selected = new Set();
/** Selected items that have no card, because their pages are not loaded. @type {Set<string>} */
const unlisted = new Set();
/** Stops the selecting of all items that match, while that is under way. @type {AbortController | null} */
let stopper = null;
/** Whether all items that match were selected. */
let areAllSelected = false;
/** Where a range begins: the item that was selected last. @type {string | null} */
let anchor = null;

/** Return the ids of the selected items. */
export const selectedIds = () => [...selected];

/** @param {string} id */
export const isSelected = (id) => selected.has(id);

/**
 * Return the ids from one to another, in any direction; only the last if the first is not among them.
 * @param {string[]} ids
 * @param {string | null} first
 * @param {string} last
 */
export function rangeOf(ids, first, last) {
  const [start, end] = [first === null ? -1 : ids.indexOf(first), ids.indexOf(last)];
  if (start < 0) return [last];
  return ids.slice(Math.min(start, end), Math.max(start, end) + 1);
}

/**
 * Select or deselect an item; with `isRange`, all items from the one that was selected or deselected last.
 * @param {string} id
 * @param {{isOn?: boolean, isRange?: boolean}} [options]
 */
export function select(id, { isOn = !selected.has(id), isRange = false } = {}) {
  for (const one of isRange ? rangeOf(shownIds(), anchor, id) : [id]) {
    if (isOn) selected.add(one);
    else selected.delete(one);
  }
  anchor = id;
  showSelection();
}

/** Select all items that are shown. */
export function selectAll() {
  shownIds().forEach((id) => selected.add(id));
  showSelection();
}

/** Select the items of the pages that are not loaded too. */
async function selectMatching() {
  stopper = new AbortController();
  const { signal } = stopper;
  showSelection();
  try {
    for await (const items of fetchRest((action) => retry(action, { signal }))) {
      if (signal.aborted) return;
      selectUnlisted(items);
    }
    areAllSelected = !signal.aborted; // Another list may be shown.
  } catch (problem) {
    if (!signal.aborted) reportUnselected(problem);
  } finally {
    if (stopper?.signal === signal) stopper = null;
    showSelection();
    if (selected.size > 0) announce(count.textContent ?? "");
  }
}

/** @param {Item[]} items */
function selectUnlisted(items) {
  for (const item of items.filter(({ id }) => !pendingDeletes.has(id))) {
    storeItem(item);
    selected.add(item.id);
    if (!cardElement(item.id)) unlisted.add(item.id);
  }
  showSelection();
}

/** @param {unknown} problem */
function reportUnselected(problem) {
  if (!(problem instanceof Problem)) throw problem;
  showErrorNotice("Not all items could be selected", problem);
}

/** Forget the items without a card. */
function clearUnlisted() {
  stopper?.abort(new Error("Stopped"));
  stopper = null;
  areAllSelected = false;
  for (const id of unlisted) selected.delete(id);
  unlisted.clear();
}

document.addEventListener("emptied", clearUnlisted);

export function clearSelection() {
  clearUnlisted();
  selected.clear();
  anchor = null;
  showSelection();
}

function showSelection() {
  const ids = shownIds();
  for (const id of ids) showSelected(id);
  document.body.classList.toggle("selecting", selected.size > 0);
  const all = $("#table .select-all");
  if (all) {
    all.checked = ids.length > 0 && ids.every(isSelected);
    all.indeterminate = !all.checked && ids.some(isSelected);
  }
  document.dispatchEvent(new Event("selection"));
}

/** @param {string} id */
function showSelected(id) {
  const card = /** @type {HTMLElement} */ (cardElement(id));
  card.classList.toggle("selected", isSelected(id));
  $(".select", card).checked = isSelected(id);
}

// Cards are drawn again, and items leave the list.
document.addEventListener("gallery", () => {
  for (const id of selected) {
    if (cardElement(id)?.isConnected) unlisted.delete(id);
    else if (!unlisted.has(id) || pendingDeletes.has(id)) selected.delete(id);
  }
  if (selected.size === 0) clearUnlisted();
  showSelection();
});

$("#lists").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  const box = targetOf(event);
  if (box.matches(".select")) {
    select(box.closest("[data-id]").dataset.id, { isOn: box.checked, isRange: event.shiftKey });
  } else if (box.matches(".select-all")) {
    if (box.checked) selectAll();
    else clearSelection();
  }
});

/** Select the items whose boxes were checked before this file was loaded. */
export function selectChecked() {
  for (const box of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#lists .select:checked"))) {
    select(/** @type {HTMLElement} */ (box.closest("[data-id]")).dataset.id ?? "", { isOn: true });
  }
}

// ----------------------------------------------------------------------------------------------------------------- bar

const count = h("p", { class: "selected-count" });
const allButton = button("", () => selectMore(), { class: "link" });
const renameButton = button("Rename", () => startRenaming(selectedIds()[0]));
const visibilityButton = button("", () => changeVisibility());
const bar = h("section", { class: "selection-bar", "aria-label": "Selected items", hidden: true },
  count, allButton,
  h("div", { class: "row" },
    renameButton,
    button("Copy link", () => copyLinks(selectedIds().map(itemLink))),
    button("Export…", async () => (await loadExports()).openExport(selectedIds())),
    button("Set field…", () => askField()),
    button("Set expiry…", () => askField(EXPIRES_AT)),
    visibilityButton,
    button("Delete", () => deleteItems(selectedIds()), { class: "danger" })),
  button("×", clearSelection, { class: "icon", "aria-label": "Clear the selection", title: "Esc" }));
$("#lists").before(bar);

/** Return what the button selects next, or "" if there is no more. @param {string[]} shown */
function moreText(shown) {
  if (stopper) return "Stop";
  if (!shown.every(isSelected)) return `Select all ${shown.length.toLocaleString()} shown`;
  if (!hasMore() || areAllSelected) return "";
  return hasBounds(currentSettings()) ? "Select all items that match" : "Select all items";
}

function selectMore() {
  if (stopper) stopper.abort(new Error("Stopped"));
  else if (shownIds().every(isSelected)) selectMatching();
  else selectAll();
}

/** @param {string} [field] */
const askField = async (field) => (await loadSetField()).askField(field);

/** Return whether visitors see all of these items. @param {string[]} ids */
const arePublic = (ids) => ids.every((id) => storedItem(id)?.visibility === "public");

async function changeVisibility() {
  const visibility = arePublic(selectedIds()) ? null : "public";
  (await loadSetField()).setFields({ visibility }, "the visibility");
}

document.addEventListener("selection", () => {
  const [ids, shown] = [selectedIds(), shownIds()];
  count.textContent = `${ids.length.toLocaleString()} selected${stopper ? "…" : ""}`;
  allButton.textContent = moreText(shown);
  allButton.hidden = allButton.textContent === "";
  renameButton.hidden = ids.length !== 1;
  visibilityButton.textContent = arePublic(ids) ? "Make private" : "Publish";
  const hadFocus = bar.contains(document.activeElement);
  bar.hidden = ids.length === 0;
  if (bar.hidden && hadFocus) ($("#lists a[tabindex='0']") ?? $("#new")).focus();
});
selectChecked();
