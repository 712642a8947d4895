// The menu in which the user adds and changes filters, and the chips of those that are active.

import { $, button, h } from "./dom.js";
import { asText, filterFields, filterText, parameterOf, valueOf, valuesOf } from "./filter-operators.js";
import { currentSettings } from "./gallery.js";
import { filterName, filtersOf, filtersText } from "./page-url.js";
import { Input, InvalidInput } from "./scalar-inputs.js";

const filterButton = $("#filter");
const chips = $("#filter-chips");
const fields = filterFields();

/** @type {(filters: string) => void} */
let setFilters = () => {};

/** Call `listener` with the filters when the user changes them. @param {(filters: string) => void} listener */
export const onFilters = (listener) => (setFilters = listener);

const activeFilters = () => filtersOf(currentSettings().filters);

/** @param {Filter[]} filters */
function change(filters) {
  setFilters(filtersText(filters));
  drawChips();
}

// --------------------------------------------------------------------------------------------------------------- value

/** Checkboxes for some of several choices. */
class Choices {
  /** @param {any[]} choices @param {string} text the chosen ones, separated by commas */
  constructor(choices, text) {
    const chosen = valuesOf(text);
    this.element = h("fieldset", { class: "choices" }, choices.map(asText).map((value) =>
      h("label", { class: "check" }, h("input", { type: "checkbox", value, checked: chosen.includes(value) }), value)));
  }

  read() {
    const checked = /** @type {NodeListOf<HTMLInputElement>} */ (this.element.querySelectorAll(":checked"));
    return [...checked].map(({ value }) => value).join(",") || undefined;
  }

  /** @param {string} label */
  setLabel(label) {
    this.element.setAttribute("aria-label", label);
  }

  focus() {
    $("input", this.element).focus();
  }
}

/**
 * Return the control for a filter's value.
 * @param {FilterField} field
 * @param {string} operator
 * @param {string} text the value that it shows first, or ""
 */
function valueControl(field, operator, text) {
  const { kind, choices } = field;
  if (operator === "in") {
    if (kind === "choice") return new Choices(choices, text);
    const input = new Input("text", text || undefined);
    input.element.placeholder = "oak, ash";
    return input;
  }
  const value = text ? valueOf(text, field) : undefined;
  if (kind === "boolean") return new Input("choice", value, { enum: [true, false] });
  return new Input(kind, value, { enum: choices });
}

// ---------------------------------------------------------------------------------------------------------------- menu

const fieldSelect = h("select", { onchange: () => showOperators() },
  fields.map(({ name, label }) => h("option", { value: name }, label)));
const operatorSelect = h("select", { onchange: () => showValue(entered()) });
const place = h("div", { class: "value" });
const error = h("p", { class: "field-error", role: "alert" });
const submit = h("button", { class: "primary" });
/** The filter that is changed, or null if one is added. @type {Filter | null} */
let changed = null;
/** @type {ReturnType<typeof valueControl>} */
let control;

/** The menu. The browser opens it for the button. */
export const menu = h("form", {
  class: "menu filter-menu", popover: "auto", "aria-label": "Filter", noValidate: true, onsubmit: save,
},
  h("label", {}, "Field", fieldSelect), h("label", {}, "Condition", operatorSelect),
  h("div", {}, h("span", { class: "label", "aria-hidden": "true" }, "Value"), place), error, submit);
$("#display-menu").after(menu);
filterButton.popoverTargetElement = menu;

const chosenField = () => /** @type {FilterField} */ (fields.find(({ name }) => name === fieldSelect.value));

/** @param {string} [operator] */
function showOperators(operator) {
  const { operators } = chosenField();
  operatorSelect.replaceChildren(...Object.entries(operators).map(([value, label]) => h("option", { value }, label)));
  if (operator && operator in operators) operatorSelect.value = operator;
  showValue(changed?.field === fieldSelect.value ? changed.value : "");
}

/** @param {string} text */
function showValue(text) {
  control = valueControl(chosenField(), operatorSelect.value, text);
  control.setLabel("Value");
  place.replaceChildren(control.element);
  error.textContent = "";
}

menu.addEventListener("beforetoggle", (event) => {
  if (/** @type {ToggleEvent} */ (event).newState !== "open") return;
  if (changed) fieldSelect.value = changed.field;
  submit.textContent = changed ? "Change filter" : "Add filter";
  showOperators(changed?.operator);
});
menu.addEventListener("toggle", (event) => {
  if (/** @type {ToggleEvent} */ (event).newState === "open") {
    placeBelow(changed ? chipOf(changed) ?? filterButton : filterButton);
    if (changed) control.focus();
    else fieldSelect.focus();
  } else changed = null;
});

/** @param {HTMLElement} anchor */
function placeBelow(anchor) {
  const { bottom, left } = anchor.getBoundingClientRect();
  const most = document.documentElement.clientWidth - menu.offsetWidth - 8;
  menu.style.top = `${bottom + scrollY + 4}px`;
  menu.style.left = `${Math.max(Math.min(left, most), 8)}px`;
}

/** @param {Event} event */
function save(event) {
  event.preventDefault();
  const value = readOrShow();
  if (value === undefined) return;
  const next = { field: fieldSelect.value, operator: operatorSelect.value, value };
  const before = changed && filterName(changed);
  const replaced = [before, filterName(next)];
  const filters = activeFilters();
  const index = filters.findIndex((one) => replaced.includes(filterName(one)));
  const others = filters.filter((one) => !replaced.includes(filterName(one)));
  menu.hidePopover();
  $("#display-menu").hidePopover();
  change(others.toSpliced(index < 0 ? others.length : index, 0, next));
  (chipOf(next) ?? filterButton).focus();
}

/** Return the value as it is in the URL, or "" if it is not valid. */
function entered() {
  try {
    return parameterOf(control.read(), operatorSelect.value);
  } catch {
    return "";
  }
}

/** Return the value as it is in the URL, or undefined if the menu shows what is wrong. */
function readOrShow() {
  try {
    const value = parameterOf(control.read(), operatorSelect.value);
    if (value) return value;
    error.textContent = "Enter a value.";
  } catch (problem) {
    if (!(problem instanceof InvalidInput)) throw problem;
    error.textContent = problem.message;
  }
  control.focus();
  return undefined;
}

// --------------------------------------------------------------------------------------------------------------- chips

/** @param {Filter} filter @returns {HTMLElement | null} */
const chipOf = (filter) => $(`[data-filter="${CSS.escape(filterName(filter))}"] button`, chips);

/** The filters whose chips are shown. */
let drawn = "";

/** Show a chip for each active filter. */
export function drawChips() {
  const { filters } = currentSettings();
  if (filters === drawn) return; // The focus may be on a chip.
  drawn = filters;
  const all = activeFilters();
  chips.hidden = all.length === 0;
  const clear = button("Clear filters", () => remove([]), { class: "link" });
  chips.replaceChildren(...all.map(chip), ...(all.length > 1 ? [h("li", {}, clear)] : []));
}

/** @param {Filter} filter */
function chip(filter) {
  const text = filterText(filter, fields);
  const edit = () => {
    changed = filter;
    menu.showPopover();
  };
  const isKnown = fields.some(({ name }) => name === filter.field);
  return h("li", { class: "filter-chip", "data-filter": filterName(filter) },
    button(text, edit, { title: text, "aria-label": `Change the filter: ${text}`, disabled: !isKnown }),
    button("×", () => remove(activeFilters().filter((one) => filterName(one) !== filterName(filter))),
      { class: "quiet", "aria-label": `Remove the filter: ${text}` }));
}

/** Keep only these filters. @param {Filter[]} kept */
function remove(kept) {
  change(kept);
  ($("button", chips) ?? filterButton).focus();
}
