// Items: what is known of them, what they are called, and how they look.

import { call, isNumber, itemPath, write } from "./api.js";
import { h, time } from "./dom.js";

// --------------------------------------------------------------------------------------------------------------- known

// Whoever shows an item watches here, so that all of them show the same.

const entries = new Map();
const watchers = [];

/** Ids of items on their way out: known, but not shown. */
export const leaving = new Set();

/** What is known of an item, as `{item, etag}`, or undefined; the tag is null until the item was read by itself. */
export const known = (id) => entries.get(id);

/** Has `watcher(item, before)` called whenever more is known of an item; `before` is what it was, or undefined. */
export const watch = (watcher) => watchers.push(watcher);

/** Notes what an item is now, unless something newer is known; gives what is known then. */
export function keep(item, etag = null) {
  const before = entries.get(item.id);
  if (before?.item.version > item.version) return before; // An answer that was overtaken.
  const unchanged = before?.item.version === item.version;
  entries.set(item.id, { item, etag: etag ?? (unchanged ? before.etag : null) });
  for (const watcher of watchers) watcher(item, before?.item);
  return entries.get(item.id);
}

export const forget = (id) => entries.delete(id);

/** Forgets every item, as when somebody signs out. */
export function forgetAll() {
  entries.clear();
  leaving.clear();
}

// -------------------------------------------------------------------------------------------------------------- fields

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** Whether a value is a time: text in ISO 8601, with its zone. */
export const isMoment = (value) => typeof value === "string" && MOMENT.test(value) && !Number.isNaN(Date.parse(value));

const MANAGED = ["id", "version", "createdAt", "updatedAt", "image"];

/** The fields of an item that are the caller's to change. */
export function ownFields(item) {
  return Object.fromEntries(Object.entries(item).filter(([name]) => !MANAGED.includes(name)));
}

const isText = (value) => typeof value === "string" && value.trim() !== "" && !isNumber(value);
const TITLES = ["title", "name", "label"];

/** The name of the field that says what an item is called, or undefined. */
export const titleField = (item) => TITLES.find((name) => isText(item[name]));

/** What an item is called: the first of its fields that can say so, else its id. */
export const titleOf = (item) => item[titleField(item)] ?? item.id;

/** A field's name as people write: "Pixels per inch" for `pixelsPerInch`, `pixels_per_inch` and `pixels-per-inch`. */
export function humanised(name) {
  const words = name.replace(/[_-]+/g, " ").replace(/([a-z\d])([A-Z])(?=[a-z])/g, (_, end, start) => `${end} ${start.toLowerCase()}`)
    .replace(/([a-z\d])([A-Z])/g, "$1 $2").trim();
  return words && words[0].toUpperCase() + words.slice(1);
}

/** What an item says of itself in a line: texts as they are, numbers by their names, and of what is true the name. */
function summary(item) {
  const own = Object.entries(ownFields(item)).filter(([name, value]) => name !== titleField(item) && name !== "expiresAt" && !isMoment(value));
  return own.map(([name, value]) => {
    if (value === true) return humanised(name);
    if (isNumber(value)) return `${humanised(name)} ${write(value)}`;
    if (Array.isArray(value) && value.every(isText)) return value.join(", ");
    return isText(value) ? value : "";
  }).filter(Boolean).slice(0, 3).join(" · ");
}

/** All that an item says, to look for words in. */
export const textOf = (item) => write(ownFields(item)).toLowerCase();

// ---------------------------------------------------------------------------------------------------------------- card

/** The address of an item in the console. */
export const toItem = (id) => `#item=${encodeURIComponent(id)}`;

/** An item's card in the gallery. */
export function cardOf(item) {
  const title = titleOf(item);
  return h("li", { class: "card", "data-id": item.id },
    h("div", { class: "frame" }, frame(item, title)),
    h("h2", {}, h("a", { href: toItem(item.id) }, title)),
    h("p", { class: "line" }, summary(item) || time(item.createdAt)));
}

const STATUS = { pending: "No picture yet", processing: "Making thumbnails", failed: "Picture failed" };

function dayOf(iso) {
  const at = new Date(iso);
  const thisYear = at.getFullYear() === new Date().getFullYear();
  return at.toLocaleDateString(undefined, { day: "numeric", month: "short", ...(!thisYear && { year: "numeric" }) });
}

/** What a frame shows: the picture, or a letter in its place, and what there is to say of it. */
export function frame(item, title) {
  const image = item.image;
  const expires = item.expiresAt && h("span", { class: "chip" }, `Expires ${dayOf(item.expiresAt)}`);
  if (image?.status === "ready") return [picture(item, { sizes: "(min-width: 40rem) 18rem, 46vw" }), expires];
  const letter = h("span", { class: "letter", "aria-hidden": "true" }, [...title][0].toUpperCase());
  return [letter, image ? h("span", { class: `chip ${image.status}`, title: image.error?.message }, STATUS[image.status]) : expires];
}

// ---------------------------------------------------------------------------------------------------------- picture

/**
 * An item's picture, in the size that fits; with `whole`, none of the sizes that are cut to a square. When its URLs have
 * run out, the item is read again, once.
 */
export function picture(item, { sizes, whole = false }) {
  const shown = h("img", { alt: "", loading: "lazy", decoding: "async", sizes, ...sources(item.image, whole) });
  const renew = async () => {
    const { data, etag } = await call("GET", itemPath(item.id));
    keep(data, etag);
    if (data.image?.status === "ready" && data.version === item.version) shown.src = sources(data.image, whole).src;
  };
  shown.addEventListener("error", () => {
    shown.removeAttribute("srcset");
    renew().catch(() => {});
  }, { once: true });
  return shown;
}

const SHOWN_EVERYWHERE = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const SMALL = 3 * 1024 * 1024; // bytes of an original that may be shown where a thumbnail would do

function sources(image, whole) {
  const ratio = image.width / image.height;
  const uncut = ({ width, height }) => Math.abs(width / height - ratio) < 0.03 * ratio;
  const fit = (image.thumbnails ?? []).filter((one) => !whole || uncut(one));
  // On a large screen the original is better than any thumbnail, unless it is too big or of a kind few browsers know.
  const original = whole && image.bytes <= SMALL && SHOWN_EVERYWHERE.includes(image.contentType);
  const all = original || fit.length === 0 ? [...fit, image] : fit;
  return { srcset: all.map(({ url, width }) => `${url} ${width}w`).join(", "), src: all[0].url };
}
