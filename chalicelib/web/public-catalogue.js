// The caller's public catalogue: what is known of it, and the dialog that shows and changes it.

import { Problem, call } from "./api.js";
import { linkField } from "./copy-links.js";
import { isAsking, showQuestion } from "./dialog.js";
import { announce, button, h, plural, problemBox, showErrorNotice } from "./dom.js";

const MAX_TITLE = 200; // characters
const MAX_TEXT = 2000; // characters

/** The catalogue as it was read or changed last. @type {Catalogue | null} */
let known = null;

export const knownCatalogue = () => known;

/** Read the catalogue. The API makes it if there is none. Throw Problem. @returns {Promise<Catalogue>} */
export async function readCatalogue() {
  const { data } = await call("GET", "catalogue");
  setKnown(data);
  return data;
}

/** Store the catalogue, and dispatch an event if other links are to be shown. @param {Catalogue} catalogue */
function setKnown(catalogue) {
  const isChanged = known?.enabled !== catalogue.enabled;
  known = catalogue;
  if (isChanged) document.dispatchEvent(new Event("catalogue"));
}

addEventListener("session", () => (known = null)); // Another user has another catalogue.

/** Show the catalogue in a dialog in which it can be changed. */
export async function openCatalogue() {
  try {
    const catalogue = await readCatalogue();
    if (!isAsking()) showCatalogue(catalogue);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showErrorNotice("The catalogue cannot be shown", problem);
  }
}

/** @param {Catalogue} catalogue */
function showCatalogue(catalogue) {
  const title = h("input", { value: catalogue.title, maxLength: MAX_TITLE });
  const text = h("textarea", { value: catalogue.text, maxLength: MAX_TEXT, rows: 3 });
  const enabled = h("input", { type: "checkbox", role: "switch", checked: catalogue.enabled });
  const problems = h("div", { class: "problems" });
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const body = { title: title.value, text: text.value, enabled: enabled.checked };
    try {
      const { data } = await call("PATCH", "catalogue", { body });
      dialog.close();
      setKnown(data);
      announce("Saved");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      problems.replaceChildren(problemBox(problem));
    }
  };
  const dialog = showQuestion({},
    h("h2", { id: "question" }, "Public catalogue"),
    h("p", { class: "note" }, countText(catalogue.itemCount)),
    h("form", { class: "ask-form", onsubmit },
      h("label", {}, "Title", title),
      h("label", {}, "Text", text),
      h("label", { class: "check" }, enabled, "Visitors can see it"),
      linkField("Public link", catalogue.url).element,
      h("p", {}, visitorLink(catalogue.url, "Open as visitor")),
      problems,
      h("div", { class: "row" },
        button("Cancel", () => dialog.close()), h("button", { class: "primary" }, "Save"))));
}

/** @param {number} count */
const countText = (count) => (count > 0
  ? `${plural(count, "item")} ${count === 1 ? "is" : "are"} public.`
  : "No item is public yet: open an item and turn on “Visitors can see it”, or select several and press Publish.");

/**
 * Return a link that opens a page for visitors in a new tab.
 * @param {string} href
 * @param {string} label
 * @param {Record<string, any>} [properties]
 */
export const visitorLink = (href, label, properties = {}) =>
  h("a", { class: "button", href, target: "_blank", rel: "noopener", ...properties }, label);
