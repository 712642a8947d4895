// The selected items, and the bar with the actions on all of them.

import { loadSetField } from "./dialog.js";
import { $, button, h, targetOf } from "./dom.js";
import { cardElement, shownIds } from "./gallery.js";
import { EXPIRES_AT } from "./item-fields.js";
import { startRenaming } from "./item-rename.js";
import { copyLinks } from "./item-sharing.js";
import { deleteItems } from "./item-writes.js";

/** @type {Set<string>} */
const selected = new Set();
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
 * Select an item, or no longer; with `isRange`, all items from the one before.
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

export function clearSelection() {
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
    if (!cardElement(id)?.isConnected) selected.delete(id);
  }
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
const allButton = button("", selectAll, { class: "link" });
const renameButton = button("Rename", () => startRenaming(selectedIds()[0]));
const bar = h("section", { class: "selection-bar", "aria-label": "Selected items", hidden: true },
  count, allButton,
  h("div", { class: "row" },
    renameButton,
    button("Copy link", () => copyLinks(selectedIds())),
    button("Set field…", () => askField()),
    button("Set expiry…", () => askField(EXPIRES_AT)),
    button("Delete", () => deleteItems(selectedIds()), { class: "danger" })),
  button("×", clearSelection, { class: "icon", "aria-label": "Clear the selection", title: "Esc" }));
$("#lists").before(bar);

/** @param {string} [field] */
const askField = async (field) => (await loadSetField()).askField(field);

document.addEventListener("selection", () => {
  const [ids, shown] = [selectedIds(), shownIds()];
  count.textContent = `${ids.length} selected`;
  allButton.textContent = `Select all ${shown.length} shown`;
  allButton.hidden = ids.length === shown.length;
  renameButton.hidden = ids.length !== 1;
  const hadFocus = bar.contains(document.activeElement);
  bar.hidden = ids.length === 0;
  if (bar.hidden && hadFocus) ($("#lists a[tabindex='0']") ?? $("#new")).focus();
});
selectChecked();
