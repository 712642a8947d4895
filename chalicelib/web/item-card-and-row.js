// An item's card in the gallery, its row in the table, their parts, and its picture in any size.

import { formatBytes, h, timeElement } from "./dom.js";
import { isNumber, toJson } from "./exact-json.js";
import { fieldLabel, isText, isTimestamp, nameOf, ownFields, summaryOf } from "./field-metadata.js";
import { forgetUrls, readItem } from "./item-store.js";
import { itemRoute } from "./page-url.js";
import { placeholderUrl } from "./thumbhash.js";
import { withUpload } from "./upload-preview.js";

/** @param {Item} item */
export function cardOf(item) {
  return h("li", { class: "card", "data-id": item.id },
    frameOf(item, "(min-width: 40rem) 18rem, 46vw"),
    nameElement(item, { isHeading: true }),
    h("p", { class: "line" }, summaryOf(item) || timeElement(item.createdAt)),
    selectBox(item));
}

/**
 * Return the box of an item's picture. Its `data-picture` tells whether another box shows the same.
 * @param {Item} item
 * @param {string} sizes of the picture, as in HTML
 */
export function frameOf(item, sizes) {
  const { image, expiresAt, visibility } = item;
  const paths = thumbnailPaths(image) || (image?.url && new URL(image.url).pathname);
  const shown = [image?.status, paths, image?.error?.message, expiresAt, visibility, nameOf(item)[0]];
  const frame = h("div", { class: "frame", "data-picture": JSON.stringify(shown) }, frameContent(item, sizes));
  return withUpload(frame, item.id);
}

/** Return the paths of an item's thumbnails, which change when these are made again. @param {ItemImage} [image] */
export const thumbnailPaths = (image) => (image?.thumbnails ?? []).map(({ url }) => new URL(url).pathname).join(" ");

/**
 * Return an item's name, which opens it, and the button to rename it. item-rename.js shows an input in their place.
 * @param {Item} item
 * @param {{isHeading: boolean}} options
 */
export function nameElement(item, { isHeading }) {
  const name = nameOf(item);
  const properties = { type: "button", class: "icon rename", title: "Rename (F2)", "aria-label": `Rename ${name}` };
  const link = h("a", { href: itemRoute(item.id) }, name);
  return h("div", { class: "name" }, isHeading ? h("h2", {}, link) : link, h("button", properties));
}

/** Return the checkbox that selects an item. selection.js listens to it. @param {Item} item */
export const selectBox = (item) =>
  h("input", { type: "checkbox", class: "select", "aria-label": `Select ${nameOf(item)}` });

const STATUS_TEXTS = { pending: "Upload pending", processing: "Processing", failed: "Picture failed" };

/** Return the picture, or the name's first letter, and a note. @param {Item} item @param {string} sizes */
function frameContent(item, sizes) {
  const notes = [item.visibility && "Public", item.expiresAt && `Expires ${shortDate(item.expiresAt)}`].filter(Boolean);
  const note = notes.length > 0 && h("span", { class: "chip" }, notes.join(" · "));
  const [letter, status] = placeholder(item);
  if (item.image?.status !== "ready") return [letter, status ?? note];
  const warning = warningOf(item.image);
  const mark = warning && h("span", { class: "mark", role: "img", title: warning, "aria-label": warning }, "!");
  return [pictureElement(item, { sizes }), note, mark];
}

/** Return what is wrong with a picture that is shown, or "". @param {ItemImage} [image] */
export const warningOf = (image) =>
  (image?.warnings?.includes("TRUNCATED") ? "The file is incomplete; what it has is shown." : "");

/**
 * Return what replaces a picture: the title's first letter, and the picture's status.
 * @param {Item} item
 */
export function placeholder(item) {
  const { image } = item;
  const letter = h("span", { class: "letter", "aria-hidden": "true" }, [...nameOf(item)][0].toUpperCase());
  if (!image || image.status === "ready") return [letter, null];
  const { status, error } = image;
  return [letter, h("span", { class: `chip ${status}`, title: error?.message }, STATUS_TEXTS[status])];
}

/** @param {string} iso */
function shortDate(iso) {
  const at = new Date(iso);
  const isThisYear = at.getFullYear() === new Date().getFullYear();
  return at.toLocaleDateString(undefined, { day: "numeric", month: "short", year: isThisYear ? undefined : "numeric" });
}

/**
 * Return an item's picture; with `uncropped`, without the cropped sizes. Until it is loaded, its placeholder is shown.
 * If its URLs have expired, read the item again.
 * @param {Item} item
 * @param {{sizes: string, uncropped?: boolean}} options
 */
export function pictureElement(item, { sizes, uncropped = false }) {
  const attributes = { alt: "", loading: "lazy", decoding: "async", sizes };
  const image = /** @type {ItemImage} */ (item.image);
  // The width and the height reserve the space.
  const { width, height } = image;
  const element = h("img", { ...attributes, width, height, ...sourcesOf(image, uncropped) });
  if (!uncropped && image.focus) element.style.objectPosition = `${100 * image.focus.x}% ${100 * image.focus.y}%`;
  if (image.placeholder) showPlaceholder(element, image.placeholder, image);
  const reload = async () => {
    const { item: { image: now, version } } = await readItem(item.id);
    if (now?.status === "ready" && version === item.version) element.src = sourcesOf(now, uncropped).src;
  };
  element.addEventListener("error", () => {
    element.removeAttribute("srcset");
    forgetUrls(image);
    reload().catch(() => {});
  }, { once: true });
  return element;
}

/** @param {HTMLImageElement} element @param {string} hash @param {ItemImage} image */
function showPlaceholder(element, hash, image) {
  element.style.backgroundImage = `url(${placeholderUrl(hash, image)})`;
  element.addEventListener("load", async () => {
    await element.decode().catch(() => {}); // Otherwise neither may be shown for a moment.
    element.style.backgroundImage = "";
  }, { once: true });
}

const SHOWN_BY_EVERY_BROWSER = ["image/jpeg", "image/png", "image/webp", "image/gif"];
/** @param {ItemImage} image */
export const isShownByBrowsers = ({ contentType }) => SHOWN_BY_EVERY_BROWSER.includes(contentType);

const MAX_ORIGINAL = 3 * 1024 * 1024; // bytes

/**
 * Return `src` and `srcset`. They include the original if it is small and every browser shows it.
 * @param {ItemImage} image
 * @param {boolean} uncropped
 */
export function sourcesOf(image, uncropped) {
  const ratio = image.width / image.height;
  const isUncropped = (/** @type {Picture} */ one) => Math.abs(one.width / one.height - ratio) < 0.03 * ratio;
  const thumbnails = (image.thumbnails ?? []).filter((one) => !uncropped || isUncropped(one));
  const isShowable = image.bytes <= MAX_ORIGINAL && isShownByBrowsers(image);
  /** @type {Picture[]} */
  const all = (uncropped && isShowable) || thumbnails.length === 0 ? [...thumbnails, image] : thumbnails;
  return { srcset: all.map(({ url, width }) => `${url} ${width}w`).join(", "), src: all[0].url };
}

// --------------------------------------------------------------------------------------------------------------- table

const STORAGE_KEY = "vitrine-columns";
const MAX_DEFAULT_FIELDS = 4;

/** Columns that are not fields of the caller's own. @type {Record<string, Column>} */
const COMMON_COLUMNS = {
  picture: { label: "Picture", cell: (item) => frameOf(item, "3rem") },
  createdAt: { label: "Added", cell: (item) => timeElement(item.createdAt) },
  updatedAt: { label: "Changed", cell: (item) => timeElement(item.updatedAt) },
  expiresAt: { label: "Expires", cell: (item) => item.expiresAt && timeElement(item.expiresAt) },
  visibility: { label: "Visibility", cell: ({ visibility }) => (visibility === "public" ? "Public" : "Private") },
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
 * @param {Item[]} items by default, only fields that one of them has are shown
 * @returns {{id: string, label: string, isShown: boolean}[]}
 */
export function columnsOf(fields, chosen, items) {
  const idOf = (/** @type {string} */ name) => FIELD_PREFIX + name;
  const fieldIds = fields.map(idOf);
  const used = fields.filter((name) => items.some((item) => Object.hasOwn(item, name)));
  const shown = chosen ?? [...DEFAULT_COMMON_COLUMNS, ...used.slice(0, MAX_DEFAULT_FIELDS).map(idOf)];
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
