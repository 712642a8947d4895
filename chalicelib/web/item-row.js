// An item's row in the table, and the columns of the table.

import { formatBytes, h, timeElement } from "./dom.js";
import { isNumber, toJson } from "./exact-json.js";
import { frameOf, nameElement, selectBox } from "./item-card.js";
import { fieldLabel, isTimestamp, ownFields } from "./item-fields.js";
import { isText } from "./item-name.js";

const STORAGE_KEY = "vitrine-columns";
const MAX_DEFAULT_FIELDS = 4;

/** Columns that are not fields of the caller's own. @type {Record<string, Column>} */
const COMMON_COLUMNS = {
  picture: { label: "Picture", cell: (item) => frameOf(item, "3rem") },
  createdAt: { label: "Added", cell: (item) => timeElement(item.createdAt) },
  updatedAt: { label: "Changed", cell: (item) => timeElement(item.updatedAt) },
  expiresAt: { label: "Expires", cell: (item) => item.expiresAt && timeElement(item.expiresAt) },
  size: { label: "Picture size", cell: pictureSize },
};
const DEFAULT_COMMON_COLUMNS = ["picture", "createdAt", "updatedAt", "size"];

const FIELD_PREFIX = "field:"; // A field may have the name of a common column.

/** @param {Item} item */
function pictureSize({ image }) {
  if (image?.status !== "ready") return null;
  return h("span", { title: formatBytes(image.bytes) }, `${image.width} × ${image.height}`);
}

/**
 * Return all columns in their order, and which of them are shown.
 * @param {string[]} fields
 * @param {string[] | null} chosen ids of the columns that the user chose, or null
 * @returns {{id: string, label: string, isShown: boolean}[]}
 */
export function columnsOf(fields, chosen) {
  const fieldIds = fields.map((name) => FIELD_PREFIX + name);
  const shown = chosen ?? [...DEFAULT_COMMON_COLUMNS, ...fieldIds.slice(0, MAX_DEFAULT_FIELDS)];
  const [picture, ...common] = Object.keys(COMMON_COLUMNS);
  return [picture, ...fieldIds, ...common].map((id) => ({
    id,
    label: COMMON_COLUMNS[id]?.label ?? fieldLabel(id.slice(FIELD_PREFIX.length)),
    isShown: shown.includes(id),
  }));
}

/** Return the ids of the columns that the user chose, or null. @returns {string[] | null} */
export function chosenColumns() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "null");
    return Array.isArray(stored) ? stored : null;
  } catch {
    return null; // Storage may be blocked.
  }
}

/** @param {string[] | null} ids null for the columns shown by default */
export function chooseColumns(ids) {
  try {
    if (ids) localStorage.setItem(STORAGE_KEY, JSON.stringify(ids));
    else localStorage.removeItem(STORAGE_KEY);
  } catch {
    // The choice is not remembered.
  }
}

/**
 * Return the row of the column labels.
 * @param {{id: string, label: string}[]} columns those that are shown
 * @param {Item[]} items
 */
export function headRow(columns, items) {
  const isNumeric = (/** @type {string} */ id) => items.some((item) => isNumber(item[id.slice(FIELD_PREFIX.length)]));
  const [picture, ...others] = columns[0]?.id === "picture" ? columns : [null, ...columns];
  const selectAll = h("input", { type: "checkbox", class: "select-all", "aria-label": "Select all items shown" });
  return h("tr", {}, h("td", {}, selectAll),
    picture && h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, picture.label)),
    [{ id: "", label: "Name" }, ...others].map((column) =>
      h("th", { scope: "col", class: isNumeric(column?.id ?? "") ? "number" : null }, column?.label)));
}

/**
 * Return an item's row.
 * @param {Item} item
 * @param {{id: string}[]} columns those that are shown
 */
export function rowOf(item, columns) {
  const [picture, ...others] = columns[0]?.id === "picture" ? columns : [null, ...columns];
  return h("tr", { "data-id": item.id },
    h("td", { class: "select-cell" }, selectBox(item)),
    picture && h("td", { class: "picture-cell" }, COMMON_COLUMNS.picture.cell(item)),
    h("th", { scope: "row" }, nameElement(item, { isHeading: false })),
    others.map((column) => cellOf(item, column?.id ?? "")));
}

/** @param {Item} item @param {string} id */
function cellOf(item, id) {
  const common = COMMON_COLUMNS[id];
  if (common) return h("td", { class: "soft" }, common.cell(item));
  const value = ownFields(item)[id.slice(FIELD_PREFIX.length)];
  return h("td", { class: isNumber(value) ? "number" : null }, valueInLine(value));
}

/** @param {any} value @returns {Child} */
function valueInLine(value) {
  if (isTimestamp(value)) return timeElement(value);
  const text = textOf(value);
  return isNumber(value) ? text : h("span", { title: text }, text);
}

/** @param {any} value */
function textOf(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (isText(value)) return value;
  return Array.isArray(value) && value.every(isText) ? value.join(", ") : toJson(value);
}
