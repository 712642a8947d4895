// The toolbar and the menu of display options: they set how the list is shown, and the URL says the same.

import { $, h, targetOf } from "./dom.js";
import { fieldLabel, findableFields, isSearchable, sortableFields, typesOf } from "./field-metadata.js";
import { allColumns, currentSettings, showColumns } from "./gallery.js";
import { changeSettings, loadPage } from "./list-loading.js";
import {
  DEFAULTS, filtersOf, filtersText, isSameList, listParameters, onListParametersChange, parametersOf,
  setListParameters, settingsOf,
} from "./page-url.js";

const STORAGE_KEY = "vitrine-display";
const TYPING_PAUSE = 200; // milliseconds

const find = $("#find");
const age = $("#age");
const dates = $("#dates");
const [from, to] = [$("#from"), $("#to")];
const order = $("#order");
const filters = $("#filters");
const filterButton = $("#filter");
const chips = $("#filter-chips");
const menu = $("#display-menu");
const menuButton = $("#display");
const columnBoxes = $("#columns");

/**
 * @param {Partial<ListSettings>} changes
 * @param {{isStep?: boolean}} [options] whether the user can go back to what was shown before
 */
function change(changes, { isStep = true } = {}) {
  const next = { ...currentSettings(), ...changes };
  setListParameters(parametersOf(next), { isStep });
  remember(next);
  show(next);
  return changeSettings(next);
}

/** Have the controls show the settings. @param {ListSettings} settings */
function show({ view, density, order: shownOrder, added, q, filters: shownFilters }) {
  showChips(shownFilters);
  const isBetween = added.includes("..");
  if (find.value.trim() !== q) find.value = q;
  order.value = shownOrder;
  age.value = isBetween ? "between" : added;
  dates.hidden = !isBetween;
  const bounds = isBetween ? added.split("..") : ["", ""];
  // Setting the same value would drop a date that is half typed.
  [from, to].forEach((input, index) => input.value !== bounds[index] && (input.value = bounds[index]));
  to.min = from.value;
  from.max = to.value;
  for (const [name, value] of [["view", view], ["density", density]]) {
    for (const input of document.querySelectorAll(`[name=${name}]`)) {
      const radio = /** @type {HTMLInputElement} */ (input);
      radio.checked = radio.value === value;
    }
  }
}

/** Keep view and density for the next visit. @param {ListSettings} settings */
function remember({ view, density }) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify({ view, density }));
  } catch {
    // Storage may be blocked. The URL still has them.
  }
}

/** Return the display of the last visit as URL parameters. */
function remembered() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}");
    return parametersOf(settingsOf(new URLSearchParams(stored).toString()));
  } catch {
    return "";
  }
}

/** The fields that items can be filtered by. */
const findable = ["updatedAt", ...findableFields().map(([name]) => name)];

/** Return the settings that a URL describes. Filters of undeclared fields are left out. @param {string} text */
function knownSettings(text) {
  const settings = settingsOf(text);
  const known = filtersOf(settings.filters).filter(({ field }) => findable.includes(field));
  const q = isSearchable() ? settings.q : DEFAULTS.q;
  return { ...settings, q, filters: filtersText(known) };
}

/** Show the list as the URL says, or if that says nothing, with the display of the last visit. */
export function loadFirstPage() {
  const settings = knownSettings(listParameters() || remembered());
  setListParameters(parametersOf(settings));
  show(settings);
  // The defaults differ from the first settings only if they are changed.
  return Promise.all([changeSettings(settings), isSameList(settings, DEFAULTS) && loadPage()]);
}

onListParametersChange((parameters) => {
  const settings = knownSettings(parameters);
  show(settings);
  changeSettings(settings);
});

/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;

function searchNow() {
  clearTimeout(typing);
  change({ q: find.value.trim() }, { isStep: false });
}

find.hidden = !isSearchable();
find.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(searchNow, TYPING_PAUSE);
});
order.addEventListener("change", () => change({ order: order.value }));
age.addEventListener("change", () => change({ added: age.value === "between" ? ".." : age.value }));
dates.addEventListener("change", () => change({ added: `${from.value}..${to.value}` }));
for (const name of ["view", "density"]) {
  for (const radio of document.querySelectorAll(`[name=${name}]`)) {
    radio.addEventListener("change", (event) => change({ [name]: targetOf(event).value }));
  }
}
$("#refresh").addEventListener("click", () => loadPage({ fromStart: true }));
$("#toolbar").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  searchNow();
});
$("#show-all").addEventListener("click", () => {
  change({ q: "", added: "any", filters: "" });
  find.focus();
});

// ------------------------------------------------------------------------------------------------------------- filters

/** Load the filters' menu. Few visits need it. */
async function loadFilterMenu() {
  const menuOf = await import("./filter-menu.js");
  menuOf.onFilters((text) => change({ filters: text }));
  return menuOf;
}

/** @param {string} text the filters */
async function showChips(text) {
  if (!text && chips.hidden) return;
  const { drawChips } = await loadFilterMenu();
  drawChips();
}

filterButton.addEventListener("click", async () => {
  if (filterButton.popoverTargetElement) return; // From then on, the browser opens it.
  const { menu: filterMenu } = await loadFilterMenu();
  filterMenu.showPopover();
});

// ---------------------------------------------------------------------------------------------------------------- sort

/** What comes first, by the type of the values. @type {Record<string, string[]>} */
const DIRECTIONS = { number: ["lowest first", "highest first"], boolean: ["no first", "yes first"] };

/** @param {string} name @param {Schema} schema @returns {[string, string][]} */
function sortChoices(name, schema) {
  const type = typesOf(schema).some((one) => ["number", "integer"].includes(one)) ? "number" : typesOf(schema)[0];
  const isDate = (schema.format ?? "").startsWith("date");
  const [up, down] = isDate ? ["earliest first", "latest first"] : (DIRECTIONS[type] ?? ["A to Z", "Z to A"]);
  return [[name, `${fieldLabel(name)}, ${up}`], [`-${name}`, `${fieldLabel(name)}, ${down}`]];
}

const choices = [["-updatedAt", "Last changed first"], ...sortableFields().flatMap((field) => sortChoices(...field))];
order.append(...choices.map(([value, label]) => h("option", { value }, label)));

// ---------------------------------------------------------------------------------------------------------------- menu

menu.addEventListener("toggle", (/** @type {ToggleEvent} */ event) => {
  if (event.newState !== "open") return;
  const { bottom, right } = menuButton.getBoundingClientRect();
  menu.style.top = `${bottom + scrollY + 4}px`;
  menu.style.right = `${Math.max(document.documentElement.clientWidth - right, 8)}px`;
  showColumnBoxes();
});

function showColumnBoxes() {
  const boxes = allColumns().map(({ id, label, isShown }) =>
    h("label", {}, h("input", { type: "checkbox", value: id, checked: isShown }), label));
  columnBoxes.replaceChildren(...boxes);
}

columnBoxes.addEventListener("change", () => {
  const checked = /** @type {NodeListOf<HTMLInputElement>} */ (columnBoxes.querySelectorAll(":checked"));
  showColumns([...checked].map(({ value }) => value));
});
$("#default-columns").addEventListener("click", () => {
  showColumns(null);
  showColumnBoxes();
});

// On a phone the menu has what does not fit into the toolbar.
const isNarrow = matchMedia("(max-width: 40rem)");

function placeFilters() {
  if (isNarrow.matches) menu.prepend(filters);
  else find.after(filters);
}

isNarrow.addEventListener("change", placeFilters);
placeFilters();
