// The link of an item, and the download of its picture.

import { Problem, call, itemPath } from "./api.js";
import { announce, button, h, showErrorNotice } from "./dom.js";
import { nameOf } from "./item-name.js";
import { apiRoot } from "./oidc-session.js";
import { itemRoute } from "./page-url.js";
import { extensionOfType } from "./picture-types.js";

const SHOW_COPIED = 2000; // milliseconds

/**
 * Return a button that copies an item's link, or null if the browser allows no copying (without TLS).
 * @param {string} id
 */
export function copyLinkButton(id) {
  if (!navigator.clipboard) return null;
  const element = button("Copy link", async () => {
    await navigator.clipboard.writeText(new URL(itemRoute(id), apiRoot).href);
    element.textContent = "Link copied";
    announce("Link copied");
    setTimeout(() => (element.textContent = "Copy link"), SHOW_COPIED);
  }, { "data-key": "copy" });
  return element;
}

/**
 * Return a button that downloads an item's original picture.
 * @param {Item} item
 */
export function downloadButton(item) {
  const element = button("Download", async () => {
    element.setAttribute("aria-busy", "true");
    try {
      await download(item);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showErrorNotice("The picture was not downloaded", problem);
    } finally {
      element.removeAttribute("aria-busy");
    }
  }, { "data-key": "download" });
  return element;
}

/** @param {Item} item */
async function download(item) {
  const { data } = await call("GET", itemPath(item.id)); // The URLs of the page may have expired.
  if (data.image?.status !== "ready") throw new Problem({ message: "The picture was removed or replaced." });
  const href = URL.createObjectURL(await contentOf(data.image.url));
  h("a", { href, download: fileName(nameOf(item), data.image.contentType) }).click();
  setTimeout(() => URL.revokeObjectURL(href)); // after the download has started
}

/** A link to another host ignores the name of its file (HTML, "Downloading resources"). @param {string} url */
async function contentOf(url) {
  const response = await fetch(url, { cache: "no-store" }).catch(() => null);
  if (response?.ok) return response.blob();
  throw new Problem({ message: navigator.onLine ? "The picture could not be loaded." : "You are offline." });
}

/**
 * Return a name that every file system accepts.
 * @param {string} name
 * @param {string} contentType
 */
export function fileName(name, contentType) {
  // eslint-disable-next-line no-control-regex -- Windows allows no control characters.
  const allowed = name.replace(/[\u0000-\u001f\\/:*?"<>|\s]+/g, " ").replace(/^[. ]+|[. ]+$/g, "");
  return `${[...allowed].slice(0, 100).join("") || "picture"}.${extensionOfType(contentType)}`;
}
