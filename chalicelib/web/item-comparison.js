// Two versions of an item's fields side by side: the user's own, and what somebody else has saved meanwhile.

import { button, h, timeElement } from "./dom.js";
import { isEqual, isNumber, toJson } from "./exact-json.js";

/** A choice for each field that differs. By default, what only one side has changed is kept. */
export class Comparison {
  #theirs;
  /** @type {FieldChoice[]} */
  #choices;

  /**
   * @param {Fields} base what both started from
   * @param {Fields} theirs
   * @param {Fields} yours
   */
  constructor(base, theirs, yours) {
    const [start, left, right] = [base, theirs, yours].map(withoutPrototype);
    const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
    this.#theirs = theirs;
    this.#choices = names.filter((name) => !isEqual(left[name], right[name])).map((name) =>
      new FieldChoice(name, { theirs: left, yours: right }, !isEqual(start[name], right[name])));
    this.element = h("table", { class: "conflict" },
      h("caption", {}, "Choose which value to keep of each field that differs."),
      h("thead", {}, h("tr", {}, ["Field", "Theirs", "Yours"].map((label) => h("th", { scope: "col" }, label)))),
      h("tbody", {}, this.#choices.map((choice) => choice.element)));
  }

  get hasDifferences() {
    return this.#choices.length > 0;
  }

  /** Return the fields with the chosen values. */
  read() {
    return this.#choices.reduce((fields, choice) => choice.applyTo(fields), { ...this.#theirs });
  }
}

/** Return a copy without inherited properties, such as `constructor`. @param {Fields} fields */
const withoutPrototype = (fields) => Object.assign(Object.create(null), fields);

class FieldChoice {
  /**
   * @param {string} name
   * @param {{theirs: Fields, yours: Fields}} sides
   * @param {boolean} isYoursChosen
   */
  constructor(name, sides, isYoursChosen) {
    this.name = name;
    this.sides = sides;
    this.yours = this.#radio("yours", isYoursChosen);
    this.theirs = this.#radio("theirs", !isYoursChosen);
    this.element = h("tr", {}, h("th", { scope: "row" }, name),
      optionCell(this.theirs, sides.theirs[name]), optionCell(this.yours, sides.yours[name]));
  }

  /** Set or remove the field. @param {Fields} fields */
  applyTo(fields) {
    const { [this.name]: _, ...rest } = fields;
    const chosen = this.yours.checked ? this.sides.yours : this.sides.theirs;
    return Object.hasOwn(chosen, this.name) ? { ...rest, [this.name]: chosen[this.name] } : rest;
  }

  /** @param {"yours" | "theirs"} side @param {boolean} checked */
  #radio(side, checked) {
    const properties = { type: "radio", name: `keep-${this.name}`, value: side, checked };
    return h("input", { ...properties, "aria-label": `${this.name}: keep ${side}` });
  }
}

/** @param {HTMLInputElement} radio @param {any} value */
function optionCell(radio, value) {
  const text = typeof value === "string" && !isNumber(value) ? value : toJson(value ?? null);
  const shown = value === undefined ? h("em", {}, "not set") : h("span", { class: "code" }, text);
  return h("td", {}, h("label", {}, radio, shown));
}

/**
 * Return what the dialog shows of a conflict.
 * @param {Item} item
 * @param {Comparison} comparison
 * @param {Node} problems where errors are shown
 * @param {{edit: () => void, takeTheirs: () => void, save: () => void}} actions
 */
export function conflictView(item, comparison, problems, { edit, takeTheirs, save }) {
  return h("div", { class: "conflict-view" },
    h("p", {}, `The item is now at version ${item.version}, saved `, timeElement(item.updatedAt),
      ". Nothing you typed is lost."),
    comparison.element,
    h("div", { class: "actions" }, problems, button("Back to the form", edit), h("span", { class: "space" }),
      button("Use all of theirs", takeTheirs), button("Save these values", save, { class: "primary" })));
}
