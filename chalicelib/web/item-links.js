// The links of items, and the download of their pictures.

import { Problem, call, itemPath } from "./api.js";
import { announce, button, h, plural, showErrorNotice, showNotice } from "./dom.js";
import { nameOf } from "./field-metadata.js";
import { itemLink } from "./page-url.js";
import { extensionOfType } from "./picture-types.js";

const SHOW_COPIED = 4000; // milliseconds
const START_TIME = 10_000; // milliseconds in which a browser starts a download

/**
 * Copy links, a line for each.
 * @param {string[]} links
 */
export async function copyLinks(links) {
  const text = links.join("\n");
  if (!(await copyText(text))) {
    showLinks(text);
    return;
  }
  const title = links.length === 1 ? "Link copied" : `${plural(links.length, "link")} copied`;
  const notice = showNotice(title);
  announce(title);
  setTimeout(notice.close, SHOW_COPIED);
}

/** Return whether the browser let the text be copied. A page without TLS may not. @param {string} text */
const copyText = (text) => navigator.clipboard?.writeText(text).then(() => true, () => false);

/** @param {string} text */
function showLinks(text) {
  const area = h("textarea", { value: text, readOnly: true, rows: 2, "aria-label": "Links" });
  const notice = showNotice("Copy it from here");
  notice.keep();
  notice.show(area);
  area.select();
}

/**
 * Return a field with a link, and a button that copies it. If the browser refuses that, the link is selected.
 * @param {string} label
 * @param {string} link
 */
export function linkField(label, link) {
  const input = h("input", { value: link, readOnly: true, onfocus: () => input.select() });
  const status = h("p", { class: "note", role: "status" });
  const copy = async () => {
    const isCopied = await copyText(link);
    if (!isCopied) input.focus();
    status.textContent = isCopied ? "Copied" : "The browser does not allow it: copy it from here.";
  };
  const element = h("div", { class: "link-field" }, h("label", {}, label, input), button("Copy", copy), status);
  return { element, copy };
}

/**
 * Return a button that copies the link that opens an item in the console.
 * @param {string} id
 */
export const copyLinkButton = (id) => button("Copy link", () => copyLinks([itemLink(id)]), { "data-key": "copy" });

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
  setTimeout(() => URL.revokeObjectURL(href), START_TIME);
}

/**
 * Return a file. A link to another host would ignore the name that it is to have (HTML, "Downloading resources").
 * @param {string} url
 */
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
