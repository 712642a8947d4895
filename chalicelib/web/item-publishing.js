// The part of an item's view that publishes the item, and has its links for visitors.

import { Problem } from "./api.js";
import { copyLinks } from "./copy-links.js";
import { $, announce, button, h, showErrorNotice } from "./dom.js";
import { fieldsForVisitors, nameOf } from "./field-metadata.js";
import { getStored, storedItem } from "./item-store.js";
import { patchItem } from "./item-writes.js";
import { loadShares } from "./lazy-modules.js";
import { knownCatalogue, openCatalogue, readCatalogue, visitorLink } from "./public-catalogue.js";

/** Draw the links of the view that was drawn last. */
let drawLinks = () => {};

document.addEventListener("catalogue", () => drawLinks());

/**
 * Return the part of an item's view that publishes the item.
 * @param {Item} item
 */
export function publishingPart({ id, visibility }) {
  const isPublic = visibility === "public";
  const links = h("div", { class: "row" });
  drawLinks = () => {
    const hadFocus = links.contains(document.activeElement);
    const share = button("Share link…", async () => (await loadShares()).openShares(id), { "data-key": "share" });
    links.replaceChildren(...(isPublic ? publicLinks(id) : []), share);
    if (hadFocus) $("button", links).focus();
  };
  drawLinks();
  // If it fails, there is a button to read it again.
  if (isPublic && !knownCatalogue()) readCatalogue().catch(ignoreProblem);
  return h("section", { class: "publishing", "aria-label": "Visitors" },
    h("label", { class: "check" }, publishSwitch(id, isPublic), "Visitors can see it"),
    h("p", { class: "note" }, fieldsForVisitors()), links);
}

/** @param {unknown} problem */
function ignoreProblem(problem) {
  if (!(problem instanceof Problem)) throw problem;
}

/** Return the links to a public item's page, if it is known that visitors can open it. @param {string} id */
function publicLinks(id) {
  const catalogue = knownCatalogue();
  const settings = button("Public catalogue…", openCatalogue, { "data-key": "catalogue" });
  if (!catalogue) return [settings];
  if (!catalogue.enabled) {
    return [h("p", { class: "warning" }, "Visitors do not see it now: the public catalogue is turned off."), settings];
  }
  const url = `${catalogue.url}/${encodeURIComponent(id)}`;
  return [
    button("Copy public link", () => copyLinks([url]), { "data-key": "public-link" }),
    visitorLink(url, "See as visitors see it", { "data-key": "visitor-page" }),
  ];
}

/** @param {string} id @param {boolean} isPublic */
function publishSwitch(id, isPublic) {
  let isWriting = false;
  const onclick = async (/** @type {Event} */ event) => {
    if (isWriting) {
      event.preventDefault();
      return;
    }
    isWriting = true;
    await publish(id, toggle.checked);
    isWriting = false;
    toggle.checked = getStored(id)?.item.visibility === "public"; // As before if the write failed.
  };
  const toggle = h("input", { type: "checkbox", role: "switch", checked: isPublic, "data-key": "publish", onclick });
  return toggle;
}

/** Publish an item, or make it private. Show a notice if that fails. @param {string} id @param {boolean} isPublic */
async function publish(id, isPublic) {
  const item = storedItem(id);
  try {
    await patchItem(item, { visibility: isPublic ? "public" : null });
    announce(isPublic ? "Published" : "Made private");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showErrorNotice(`${nameOf(item)} was not ${isPublic ? "published" : "made private"}`, problem);
  }
}
