// The keys of the list: arrows move the focus between items, letters act on the focused one.

import { Problem } from "./api.js";
import { showQuestion } from "./dialog.js";
import { $, button, h, hasModifier, showErrorNotice, targetOf } from "./dom.js";
import { cardElement, shownIds } from "./gallery.js";
import { deleteItems } from "./item-writes.js";
import { startRenaming } from "./item-rename.js";
import { getStored, readItem } from "./item-store.js";
import { loadFiles, loadForm, loadViewer } from "./lazy-modules.js";
import { clearSelection, select, selectAll, selectedIds } from "./selection.js";

const lists = $("#lists");
const find = $("#find");
const IS_MAC = navigator.platform?.startsWith("Mac");

// ------------------------------------------------------------------------------------------------------------- moving

/** The item that the Tab key leads to. @type {string | undefined} */
let currentId;

/** Return the card or row of the focused item, or undefined. @returns {HTMLElement | undefined} */
const focusedCard = () => document.activeElement?.closest?.("#lists [data-id]") ?? undefined;

/**
 * Return the index that a key leads to from another in a grid, or -1.
 * @param {string} key
 * @param {number} index
 * @param {{left: number, top: number}[]} places of all cards, in their order
 */
export function indexAfter(key, index, places) {
  const last = places.length - 1;
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (key === "ArrowLeft") return Math.max(index - 1, 0);
  if (key === "ArrowRight") return Math.min(index + 1, last);
  const step = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (!step) return -1;
  const { left, top } = places[index];
  const isBeyond = (/** @type {{top: number}} */ one) => (one.top - top) * step > 1;
  const line = step > 0 ? places.find(isBeyond)?.top : places.findLast(isBeyond)?.top;
  if (line === undefined) return index;
  const distanceOf = (/** @type {number} */ one) => Math.abs(places[one].left - left);
  const inLine = places.map((_, place) => place).filter((place) => Math.abs(places[place].top - line) <= 1);
  return inLine.reduce((best, place) => (distanceOf(place) < distanceOf(best) ? place : best));
}

/** Let the Tab key lead to one item only. The arrow keys lead to the others. */
function updateTabStops() {
  const ids = shownIds();
  if (!currentId || !ids.includes(currentId)) [currentId] = ids;
  for (const id of ids) {
    const controls = /** @type {NodeListOf<HTMLElement> | undefined} */ (
      cardElement(id)?.querySelectorAll(".name a, .rename, .select"));
    for (const control of controls ?? []) control.tabIndex = id === currentId ? 0 : -1;
  }
}

/** @param {string | undefined} id */
function focusItem(id) {
  const card = id && cardElement(id);
  if (card) $(".name a", card)?.focus();
}

/** Move the focus; with Shift, select what it passes. @param {KeyboardEvent} event */
function move({ key, shiftKey }) {
  const ids = shownIds();
  const places = ids.map((id) => {
    const { offsetLeft, offsetTop } = /** @type {HTMLElement} */ (cardElement(id));
    return { left: offsetLeft, top: offsetTop };
  });
  const from = focusedCard()?.dataset.id;
  const index = from ? indexAfter(key, ids.indexOf(from), places) : ids.indexOf(currentId ?? "");
  if (shiftKey && from) {
    if (selectedIds().length === 0) select(from, { isOn: true });
    select(ids[index], { isOn: true, isRange: true });
  }
  focusItem(ids[index]);
  return true;
}

lists.addEventListener("focusin", () => {
  const id = focusedCard()?.dataset.id;
  if (!id || id === currentId) return;
  currentId = id;
  updateTabStops();
});
document.addEventListener("gallery", updateTabStops);

// -------------------------------------------------------------------------------------------------------------- acting

/** Edit an item in the form. @param {string} id */
async function edit(id) {
  const [{ editItem }, { leaveForm }] = await Promise.all([loadForm(), loadViewer()]);
  try {
    if (!getStored(id)?.etag) await readItem(id);
    const { item, etag } = /** @type {StoredItem} */ (getStored(id));
    editItem({ item, etag }, leaveForm);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showErrorNotice("The item cannot be edited", problem);
  }
}

/** The selected items, or else the focused one. */
function targets() {
  const id = focusedCard()?.dataset.id;
  return selectedIds().length > 0 ? selectedIds() : [id ?? ""].filter(Boolean);
}

/** @param {(id: string) => void} action @returns {boolean} */
function onFocused(action) {
  const id = focusedCard()?.dataset.id;
  if (id) action(id);
  return Boolean(id);
}

/** @param {string[]} ids */
function remove(ids) {
  if (ids.length > 0) deleteItems(ids);
  return ids.length > 0;
}

function clear() {
  const hasSelection = selectedIds().length > 0;
  clearSelection();
  return hasSelection;
}

/** What the keys do. Each returns whether it did something. @type {Record<string, (event: KeyboardEvent) => any>} */
const KEYS = {
  Delete: () => remove(targets()),
  ...(IS_MAC && { Backspace: () => remove(targets()) }), // The key “delete” of a Mac.
  Escape: clear,
  F2: () => onFocused(startRenaming),
  " ": (event) => onFocused((id) => select(id, { isRange: event.shiftKey })),
};

/** Keys of one character. Users of speech input can turn them off (WCAG 2.2, 2.1.4). @type {typeof KEYS} */
const CHARACTERS = {
  "/": () => {
    find.focus();
    find.select();
    return true;
  },
  "?": () => {
    showHelp();
    return true;
  },
  n: () => {
    loadFiles().then(({ actions }) => actions.new());
    return true;
  },
  e: () => onFocused(edit),
};

const STORAGE_KEY = "vitrine-character-keys";

/** Return whether keys of one character do something. */
export function areCharactersOn() {
  try {
    return localStorage.getItem(STORAGE_KEY) !== "off";
  } catch {
    return true;
  }
}

/** @param {KeyboardEvent} event */
function isElsewhere(event) {
  const target = targetOf(event);
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open], :popover-open")) return true;
  return target.matches?.("textarea, select, [contenteditable], input:not(.select, .select-all)");
}

/** @param {KeyboardEvent} event */
function isMove({ key }) {
  const isInList = focusedCard() || document.activeElement === document.body;
  return isInList && /^(Arrow|Home$|End$)/.test(key) && shownIds().length > 0;
}

/** Return whether a key did something. @param {KeyboardEvent} event */
function act(event) {
  const { key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return isSelectAll(event) && selectShown();
  if (isMove(event)) return move(event);
  // A space on a checkbox or a button is a click.
  if (key === " " && !targetOf(event).matches("a")) return false;
  const action = { ...(areCharactersOn() && CHARACTERS), ...KEYS }[key];
  return action ? action(event) : false;
}

/** @param {KeyboardEvent} event */
const isSelectAll = ({ key, altKey, shiftKey }) => key.toLowerCase() === "a" && !altKey && !shiftKey;

function selectShown() {
  selectAll();
  return shownIds().length > 0;
}

addEventListener("keydown", (event) => {
  if (!isElsewhere(event) && act(event)) event.preventDefault();
});

find.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (!["Enter", "ArrowDown"].includes(event.key) || hasModifier(event) || event.isComposing) return;
  event.preventDefault();
  focusItem(shownIds()[0]);
});

// ---------------------------------------------------------------------------------------------------------------- help

const COMMAND = IS_MAC ? "⌘" : "Ctrl";

/** @type {[string, string[]][]} */
const HELP = [
  ["Move between items", ["←", "→", "↑", "↓"]],
  ["Open the item", ["Enter"]],
  ["Edit the item", ["e"]],
  ["Rename the item", ["F2"]],
  ["Delete the item or the selection", ["Delete"]],
  ["Undo a delete", [COMMAND, "Z"]],
  ["Select the item", ["Space"]],
  ["Select a range", ["Shift", "↓"]],
  ["Select all shown", [COMMAND, "A"]],
  ["Clear the selection, close", ["Esc"]],
  ["Next or previous item, in its view", ["←", "→"]],
  ["Zoom in, out, back to 100 %", ["+", "−", "0"]],
  ["New item", ["n"]],
  ["Search", ["/"]],
  ["Show this list", ["?"]],
];

function showHelp() {
  const characters = h("input", {
    type: "checkbox", checked: areCharactersOn(),
    onchange: () => localStorage.setItem(STORAGE_KEY, characters.checked ? "on" : "off"),
  });
  const keys = (/** @type {string[]} */ all) => all.map((key) => h("kbd", {}, key));
  const help = showQuestion({},
    h("h2", { id: "question" }, "Keyboard shortcuts"),
    h("dl", { class: "keys" }, HELP.map(([text, all]) => h("div", {}, h("dt", {}, text), h("dd", {}, keys(all))))),
    h("label", { class: "check" }, characters, "Use keys of one letter or sign"),
    h("div", { class: "row" }, button("Close", () => help.close(), { class: "primary" })));
}

$("#show-shortcuts").addEventListener("click", () => {
  $("#display-menu").hidePopover();
  showHelp();
});
updateTabStops();
