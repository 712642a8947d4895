// Copying links: to the clipboard, or from a field that shows one.

import { announce, button, h, plural, showNotice } from "./dom.js";
import { itemLink } from "./page-url.js";

const SHOW_COPIED = 4000; // milliseconds

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
