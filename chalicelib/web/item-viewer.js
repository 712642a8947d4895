// The view of an item, and the way to its neighbours.

import { Problem } from "./api.js";
import { copyLinkButton } from "./copy-links.js";
import { closeDialog, currentView, focusKey, focusedKey, showView, updateView } from "./dialog.js";
import { $, announce, button, formatBytes, h, problemBox, targetOf, timeElement } from "./dom.js";
import { isNumber, toJson } from "./exact-json.js";
import { neighbourId, removeCards } from "./gallery.js";
import { attachPicture, downloadButton, pickPictureFor, takePhotoFor } from "./item-pictures.js";
import { isShownByBrowsers, pictureElement, placeholder, thumbnailPaths, warningOf } from "./item-card-and-row.js";
import { fieldLabel, isTimestamp, listedFields, nameOf } from "./field-metadata.js";
import { deleteItem } from "./item-writes.js";
import { publishingPart } from "./item-publishing.js";
import { getStored, readItem, removeStored, storedItem } from "./item-store.js";
import { areCharactersOn } from "./keyboard.js";
import { loadForm } from "./lazy-modules.js";
import { hasMore, loadPage } from "./list-loading.js";
import { itemRoute } from "./page-url.js";
import { askFocus } from "./picture-focus.js";
import { Zoom } from "./picture-zoom.js";
import { signInBox } from "./sign-in-box.js";
import { shownUpload, withUpload } from "./upload-preview.js";

/**
 * Show an item: first as it is stored, then as it is now.
 * @param {string} id
 */
export const viewItem = (id) => new ItemView(id).show();

/**
 * Show a form's item, or the gallery if it has none.
 * @param {string} [id]
 */
export const leaveForm = (id) => (id ? viewItem(id) : closeDialog());

/** @implements {View} */
class ItemView {
  kind = /** @type {const} */ ("viewing");
  /** The version that is shown, or 0. */
  #version = 0;
  /** What is shown of its picture, to redraw that only if it changes. */
  #picture = "";
  #failure = h("div", { class: "picture-error" });
  /** What `#failure` shows, to redraw it only if that changes. */
  #shownFailure = "";
  /** Why the item could not be read. @type {Promise<Problem | null>} */
  #reading = Promise.resolve(null);

  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.route = itemRoute(id);
  }

  async show() {
    if (getStored(this.id)) this.#draw();
    else showView(this, "Loading…", { parts: [h("p", { class: "loading" }, "Loading…")] });
    this.#reading = this.#read();
    await this.#reading;
  }

  // -------------------------------------------------------------------------------------------------------- as a view

  onItemChange() {
    this.#draw();
  }

  /** @param {Problem} problem */
  onItemGone(problem) {
    this.#showReadProblem(problem);
  }

  /** @param {File[]} files */
  addFiles(files) {
    attachPicture(this.id, files);
  }

  hasChanges() {
    return false;
  }

  losesChanges() {
    return false;
  }

  leave() {
    closeDialog();
  }

  // ----------------------------------------------------------------------------------------------------------- reading

  #isCurrent() {
    return currentView() === this;
  }

  get #stored() {
    return /** @type {StoredItem} */ (getStored(this.id));
  }

  /** Read the item with its entity tag, which changes need. Return the problem if that fails. */
  async #read() {
    try {
      await readItem(this.id);
      if (this.#isCurrent() && !this.#version) this.#draw();
      return null;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#showReadProblem(problem);
      return problem;
    }
  }

  /** @param {Problem} problem */
  #showReadProblem(problem) {
    const isGone = problem.status === 404;
    if (isGone) {
      removeCards([this.id]);
      removeStored(this.id);
    }
    // Keep showing the data from the list.
    if (this.#isCurrent() && (!this.#version || isGone)) this.#showProblem(problem, isGone);
  }

  /** @param {Problem} problem @param {boolean} isGone */
  #showProblem(problem, isGone) {
    const tryAgain = () => viewItem(this.id);
    const onToken = () => {
      loadPage({ fromStart: true });
      tryAgain();
    };
    if (problem.needsSignIn) {
      showView(this, "Sign in", { parts: [signInBox(problem, onToken)] });
      return;
    }
    const actions = isGone ? [] : [button("Try again", tryAgain)];
    showView(this, "This item cannot be shown", { parts: [problemBox(problem, ...actions)] });
  }

  // ----------------------------------------------------------------------------------------------------------- drawing

  #draw() {
    const { item } = this.#stored;
    if (this.#version === item.version) return;
    const parts = [this.#failure, fieldList(item), publishingPart(item), detailsOf(item), this.#actions()];
    const picture = describePicture(item);
    this.showFailure();
    if (this.#version === 0) showView(this, nameOf(item), { picture: pictureParts(item), parts });
    else updateView(nameOf(item), { picture: picture !== this.#picture && pictureParts(item), parts });
    this.#version = item.version;
    this.#picture = picture;
  }

  /** Show why the picture or its upload from this page failed, and what the user can do. */
  showFailure() {
    const { item } = this.#stored;
    const upload = shownUpload(this.id);
    const problem = upload ? upload.problem : item.image?.error;
    const shown = problem ? `${upload ? "upload" : "item"}: ${problem.message}` : "";
    if (shown === this.#shownFailure) return;
    this.#shownFailure = shown;
    const choose = button("Choose another picture", () => pickPictureFor(this.id), { "data-key": "picture" });
    const buttons = upload ? upload.buttons() : [choose];
    this.#failure.replaceChildren(problem ? problemBox(new Problem(problem), ...buttons) : "");
  }

  #actions() {
    return h("div", { class: "actions" },
      button("Delete", () => deleteItem(this.id), { class: "danger quiet-danger", "data-key": "delete" }),
      h("span", { class: "space" }),
      button("Edit", () => this.#edit(), { class: "primary", "data-key": "edit" }));
  }

  async #edit() {
    if (!this.#stored.etag && !(await this.#readForEditing())) return;
    const { editItem } = await loadForm();
    if (!this.#isCurrent()) return;
    const { item, etag } = this.#stored;
    editItem({ item, etag }, leaveForm);
  }

  /** Return whether the item could be read, and is still shown. */
  async #readForEditing() {
    const actions = $("#item .actions");
    actions.setAttribute("aria-busy", "true");
    const problem = (await this.#reading) && (await this.#read());
    actions.removeAttribute("aria-busy");
    if (!this.#isCurrent()) return false;
    if (!problem) return true;
    $(".problems", actions)?.remove();
    actions.prepend(h("div", { class: "problems" }, problemBox(problem)));
    return false;
  }
}

// ------------------------------------------------------------------------------------------------------------- picture

/** @param {Item} item */
function pictureParts(item) {
  const frame = h("div", { class: "frame large" }, largePicture(item));
  const picture = /** @type {HTMLImageElement | null} */ ($("img", frame));
  const onZoom = (/** @type {number} */ scale) => picture && sharpen(picture, item, scale);
  zoom = picture && new Zoom(frame, picture, { onSwipe: goToNeighbour, onZoom });
  return [
    withUpload(frame, item.id),
    ...(zoom ? [zoom.controls] : []),
    stepButton(item.id, -1, "Previous item", "‹"), stepButton(item.id, 1, "Next item", "›"),
  ];
}

/** Of the picture that is shown. @type {Zoom | null} */
let zoom = null;

/** Show a zoomed picture in more detail. @param {HTMLImageElement} picture @param {Item} item @param {number} scale */
function sharpen(picture, item, scale) {
  const image = /** @type {ItemImage} */ (item.image);
  const candidate = `${image.url} ${image.width}w`;
  picture.sizes = `${Math.round(picture.clientWidth * scale)}px`;
  if (isShownByBrowsers(image) && picture.srcset && !picture.srcset.includes(candidate)) {
    picture.srcset += `, ${candidate}`;
  }
}

/** Return a text that is the same as long as the same picture is shown. @param {Item} item */
function describePicture(item) {
  const { image } = item;
  const path = image?.url && new URL(image.url).pathname;
  return JSON.stringify([image?.status, image?.error, path, thumbnailPaths(image), nameOf(item)]);
}

/** @param {Item} item */
function largePicture(item) {
  const { image } = item;
  const add = button("Add a picture", () => pickPictureFor(item.id), { "data-key": "picture" });
  const photograph = button("Take a photo", () => takePhotoFor(item.id), { class: "touch-only" });
  const choices = h("div", { class: "row" }, add, photograph);
  if (image?.status !== "ready") return [placeholder(item), !image && choices];
  const element = pictureElement(item, { sizes: "(min-width: 60rem) 60vw, 100vw", uncropped: true });
  element.alt = `Picture of ${nameOf(item)}`;
  element.style.maxWidth = `${Math.round(image.width * 1.75)}px`; // If it were larger, its pixels could be seen.
  return element;
}

// ---------------------------------------------------------------------------------------------------------- neighbours

/** @param {string} id @param {-1 | 1} step @param {string} label @param {string} sign */
function stepButton(id, step, label, sign) {
  const properties = { class: `step ${step < 0 ? "previous" : "next"}`, hidden: !hasNeighbour(id, step) };
  return button(sign, () => goToNeighbour(step), { ...properties, "aria-label": label, "data-key": label });
}

/** @param {string} id @param {-1 | 1} step */
const hasNeighbour = (id, step) => neighbourId(id, step) !== null || (step > 0 && hasMore());

/** Show a neighbour, which may be on the next page. @param {-1 | 1} step */
async function goToNeighbour(step) {
  const view = currentView();
  if (!view?.id) return;
  if (step > 0 && !neighbourId(view.id, step) && hasMore()) await loadPage();
  const id = neighbourId(view.id, step);
  if (!id || currentView() !== view) return;
  const key = focusedKey();
  viewItem(id);
  // The heading is not read out, because it has not got the focus.
  if (focusKey(key)) announce(nameOf(storedItem(id)));
}

// Neighbours may be loaded after the item.
document.addEventListener("gallery", () => {
  const view = currentView();
  if (view?.kind !== "viewing" || !view.id) return;
  for (const [step, name] of /** @type {[-1 | 1, string][]} */ ([[-1, "previous"], [1, "next"]])) {
    const element = $(`#item .step.${name}`);
    if (element) element.hidden = !hasNeighbour(view.id, step);
  }
});

/** @type {Record<string, () => any>} */
const STEP_KEYS = { ArrowLeft: () => goToNeighbour(-1), ArrowRight: () => goToNeighbour(1) };
/** @type {Record<string, () => any>} */
const ZOOM_KEYS = {
  "+": () => zoom?.step(1), "=": () => zoom?.step(1), "-": () => zoom?.step(-1), 0: () => zoom?.reset(),
};

/** Return what a key does. "+" may need Shift. @param {KeyboardEvent} event */
function keyAction({ key, altKey, ctrlKey, metaKey, shiftKey }) {
  if (altKey || ctrlKey || metaKey) return undefined;
  if (STEP_KEYS[key] && !shiftKey) return STEP_KEYS[key];
  return areCharactersOn() ? ZOOM_KEYS[key] : undefined;
}

addEventListener("keydown", (event) => {
  const action = keyAction(event);
  if (!action || currentView()?.kind !== "viewing") return;
  if (targetOf(event).closest("input, select, textarea, .ask")) return;
  event.preventDefault();
  action();
});

document.addEventListener("upload", () => {
  const view = currentView();
  if (view instanceof ItemView) view.showFailure();
});

// -------------------------------------------------------------------------------------------------------------- fields

/** @param {Item} item */
function fieldList(item) {
  const fields = listedFields(item).filter(([, value]) => value !== "" && value !== null);
  return h("dl", { class: "item-fields" }, fields.map(([name, value]) =>
    h("div", { class: isLong(value) ? "long" : null }, definition(fieldLabel(name), valueContent(value)))));
}

/** @param {any} value */
const isLong = (value) => typeof value === "string" && (value.length > 60 || value.includes("\n"));

const MAX_DEPTH = 2; // Deeper values are shown as JSON.

/** @param {any} value @param {number} [depth] @returns {Child} */
function valueContent(value, depth = 0) {
  if (value === null) return "–";
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (isNumber(value)) return toJson(value);
  if (typeof value === "string") return textContent(value);
  if (depth > MAX_DEPTH) return h("code", {}, toJson(value));
  const inner = (/** @type {any} */ one) => valueContent(one, depth + 1);
  if (Array.isArray(value)) return h("ul", { class: "list-value" }, value.map((one) => h("li", {}, inner(one))));
  const entries = Object.entries(value).map(([name, one]) => definition(fieldLabel(name), inner(one)));
  return h("dl", { class: "object-value" }, entries);
}

/** @param {string} text */
function textContent(text) {
  if (isTimestamp(text)) return timeElement(text);
  if (!/^https?:\/\/\S+$/.test(text)) return text;
  return h("a", { href: text, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** Return the managed fields. @param {Item} item */
function detailsOf(item) {
  const { image } = item;
  return h("div", { class: "details" },
    warningOf(image) && h("p", { class: "warning" }, warningOf(image)),
    h("div", { class: "row" }, copyLinkButton(item.id), image?.status === "ready" && [
      downloadButton(item), button("Set focus", () => askFocus(storedItem(item.id)), { "data-key": "focus" }),
    ]),
    h("dl", {},
      item.expiresAt && definition("Expires", timeElement(item.expiresAt)),
      definition("Added", timeElement(item.createdAt)),
      item.version > 1 && definition("Changed", [timeElement(item.updatedAt), ` · version ${item.version}`]),
      image?.status === "ready" && definition("Picture", [
        `${image.width} × ${image.height}, ${formatBytes(image.bytes)} · `,
        h("a", { href: image.url, target: "_blank", rel: "noopener", "data-key": "original" }, "Original"),
      ]),
      definition("Id", h("code", {}, item.id))));
}

/** @param {string} name @param {Child} value */
const definition = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
