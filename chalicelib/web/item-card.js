// An item's card in the gallery, its parts, and its picture in any size.

import { call, itemPath } from "./api.js";
import { h, timeElement } from "./dom.js";
import { summaryOf } from "./item-fields.js";
import { nameOf } from "./item-name.js";
import { storeItem } from "./item-store.js";
import { itemRoute } from "./page-url.js";
import { withUpload } from "./upload-frames.js";

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
  const { image, expiresAt } = item;
  const path = image?.url && new URL(image.url).pathname;
  const shown = [image?.status, path, image?.error?.message, expiresAt, nameOf(item)[0]];
  const frame = h("div", { class: "frame", "data-picture": JSON.stringify(shown) }, frameContent(item, sizes));
  return withUpload(frame, item.id);
}

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

const STATUS_TEXTS = { pending: "Waiting for the upload", processing: "Processing", failed: "Picture failed" };

/** Return the picture, or the name's first letter, and a note. @param {Item} item @param {string} sizes */
function frameContent(item, sizes) {
  const expires = item.expiresAt && h("span", { class: "chip" }, `Expires ${shortDate(item.expiresAt)}`);
  const [letter, status] = placeholder(item);
  if (item.image?.status !== "ready") return [letter, status ?? expires];
  return [pictureElement(item, { sizes }), expires];
}

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
 * Return an item's picture; with `uncropped`, without the cropped sizes. If its URLs have expired, read the item again.
 * @param {Item} item
 * @param {{sizes: string, uncropped?: boolean}} options
 */
export function pictureElement(item, { sizes, uncropped = false }) {
  const attributes = { alt: "", loading: "lazy", decoding: "async", sizes };
  const element = h("img", { ...attributes, ...sourcesOf(/** @type {ItemImage} */ (item.image), uncropped) });
  const reload = async () => {
    const { data, etag } = await call("GET", itemPath(item.id));
    storeItem(data, etag);
    if (data.image?.status === "ready" && data.version === item.version) {
      element.src = sourcesOf(data.image, uncropped).src;
    }
  };
  element.addEventListener("error", () => {
    element.removeAttribute("srcset");
    reload().catch(() => {});
  }, { once: true });
  return element;
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
