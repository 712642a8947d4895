// The dialog that shows how a file will be read before it is imported.

import { showQuestion } from "./dialog.js";
import { button, h, plural } from "./dom.js";
import { isNumber, toJson } from "./exact-json.js";
import { describedColumns, entryProblems, likelyKey, possibleKeys } from "./import-file.js";
import { MANAGED, fieldLabel, sortableFields } from "./item-fields.js";

const ROWS = 5;
const MAX_PROBLEMS = 5;

/**
 * Ask how to import a file. Return the field by which items that exist are changed, "" to add all, or null to cancel.
 * @param {string} name
 * @param {ImportContent} content
 * @returns {Promise<string | null>}
 */
export function askImport(name, content) {
  return new Promise((resolve) => {
    const noun = content.type === "text/csv" ? "row" : "item";
    const count = plural(content.entries.length, noun);
    const keys = keySelect(content, noun);
    const note = h("p", { class: "note" });
    const problems = h("div", { class: "import-problems" });
    const submit = h("button", { class: "primary" }, `Import ${count}`);
    const showKey = () => {
      note.textContent = keyNote(keys.value, noun);
      submit.disabled = showProblems(problems, content, keys.value, noun);
    };
    keys.addEventListener("change", showKey);
    showKey();
    const onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      resolve(keys.value);
      asking.close();
    };
    const asking = showQuestion({ class: "ask wide import-preview", onclose: () => resolve(null) },
      h("h2", { id: "question" }, `Import ${name}`),
      h("form", { class: "ask-form", onsubmit },
        preview(content, noun), undeclaredNote(content), problems,
        h("label", {}, "Items that exist already", keys), note,
        h("div", { class: "row" }, button("Cancel", () => asking.close()), submit)));
    submit.focus();
  });
}

/** @param {ImportContent} content @param {string} noun */
function preview(content, noun) {
  const columns = describedColumns(content);
  const shown = content.entries.slice(0, ROWS);
  const rest = content.entries.length - shown.length;
  const head = columns.map(({ name, type, isDeclared }) =>
    h("th", { scope: "col", class: type === "number" && "number" }, name,
      h("span", { class: isDeclared ? "type" : "type undeclared" }, isDeclared ? type : `${type}, not declared`)));
  const counts = `${plural(content.entries.length, noun)}, ${plural(columns.length, "field")}`;
  const caption = rest > 0 ? `${counts}. The first ${shown.length}, as they will be read:` : `${counts}:`;
  const rows = shown.map((entry) => h("tr", {}, columns.map(({ name }) => cellOf(entry?.[name]))));
  return h("div", {}, h("p", { class: "note" }, caption),
    h("div", { class: "table", tabIndex: 0, role: "group", "aria-label": "First rows" },
      h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))));
}

/** @param {string} text */
const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

/** @param {any} value */
function cellOf(value) {
  if (value === undefined || value === null) return h("td", {});
  if (isNumber(value)) return h("td", { class: "number" }, toJson(value));
  if (typeof value === "boolean") return h("td", {}, value ? "yes" : "no");
  const isTextList = Array.isArray(value) && value.every((one) => typeof one === "string");
  const text = isTextList ? value.join(" | ") : typeof value === "string" ? value : toJson(value);
  return h("td", { title: text }, text);
}

/** @param {ImportContent} content */
function undeclaredNote(content) {
  const names = describedColumns(content).filter(({ isDeclared }) => !isDeclared).map(({ name }) => name);
  const verb = names.length === 1 ? "is not declared: its values are" : "are not declared: their values are";
  return names.length > 0 && h("p", { class: "note" }, `${names.join(", ")} ${verb} stored as shown here.`);
}

/** @param {ImportContent} content @param {string} noun */
function keySelect(content, noun) {
  const options = possibleKeys(content, sortableFields()).map((name) =>
    h("option", { value: name }, name === "id" ? "Change or restore by id" : `Change by ${fieldLabel(name)}`));
  const select = h("select", {}, h("option", { value: "" }, `Add every ${noun} as a new item`), options);
  select.value = likelyKey(content);
  return select;
}

/** @param {string} key @param {string} noun */
function keyNote(key, noun) {
  if (!key) return "No item is changed.";
  if (key === "id") return "Items that were deleted are restored with their ids. Fields that are not in the file stay.";
  return `A ${noun} with another ${fieldLabel(key)} is added. Fields that are not in the file stay.`;
}

/**
 * Show what is wrong with entries. Return whether the API would refuse the whole file.
 * @param {Element} place
 * @param {ImportContent} content
 * @param {string} key
 * @param {string} noun
 */
function showProblems(place, content, key, noun) {
  const managed = content.columns.filter((name) => MANAGED.includes(name));
  const isRefused = content.type === "text/csv" && key !== "id" && managed.length > 0;
  const all = isRefused ? [] : entryProblems(content, key);
  const more = all.length - MAX_PROBLEMS;
  const others = all.length < content.entries.length ? "; the others are imported" : "";
  const title = isRefused
    ? `${managed.join(", ")}: Vitrine sets this itself. Change or restore by id, or rename the column.`
    : `${plural(all.length, noun)} will probably fail${others}:`;
  const list = all.slice(0, MAX_PROBLEMS).map((one) => h("li", {}, `${capitalized(one.place)}: ${one.message}.`));
  const box = h("div", { class: "problem", role: "alert" }, h("p", {}, title),
    list.length > 0 && h("ul", {}, list, more > 0 && h("li", {}, `and ${more.toLocaleString()} more`)));
  place.replaceChildren(...(isRefused || all.length > 0 ? [box] : []));
  return isRefused;
}
