// The form that changes or creates an item.

import { Problem, call, ifMatch, itemPath, newIdempotencyKey } from "./api.js";
import { Comparison, conflictView } from "./conflict.js";
import { closeDialog, currentView, disableWhile, focusKey, focusedKey, showView } from "./dialog.js";
import { $, announce, button, h, problemBox } from "./dom.js";
import { isEqual } from "./exact-json.js";
import { FieldEditor } from "./field-editor.js";
import { ensureVisible, showCard } from "./gallery.js";
import { attachPicture, pickPicture, pickPictureFor, removePicture, reportIgnoredFiles } from "./item-actions.js";
import { pictureElement, placeholder } from "./item-card.js";
import { deleteItem } from "./item-deletion.js";
import { ownFields } from "./item-fields.js";
import { nameOf } from "./item-name.js";
import { storeItem } from "./item-store.js";
import { canSignIn, signIn } from "./oidc-session.js";
import { itemRoute } from "./page-url.js";
import { tokenForm } from "./sign-in-box.js";
import { withUpload } from "./upload-frames.js";
import { uploadPicture } from "./uploads.js";

/**
 * Open a form.
 * @param {Draft} draft
 * @param {(id?: string) => void} onLeave gets the id of the item, if there is one
 */
export const editItem = (draft, onLeave) => new ItemForm(draft, onLeave).show();

export const openNewItem = () => editItem({ item: null, etag: null }, closeDialog);

/** @implements {View} */
class ItemForm {
  kind = /** @type {const} */ ("editing");
  #item;
  #etag;
  #key;
  #onLeave;
  #base;
  #hasEdits;
  #isSaving = false;
  #isConflict = false;
  #isSigningIn = false;
  /** The picture of a new item. @type {File | null} */
  #file = null;
  #picture = h("div", { class: "side" });
  #problems = h("div", { class: "problems" });
  /** @type {() => Fields} */
  #read;

  /** @param {Draft} draft @param {(id?: string) => void} onLeave */
  constructor({ item, etag, fields, key }, onLeave) {
    this.id = item?.id;
    this.route = item ? itemRoute(item.id) : "#new";
    this.#item = item;
    this.#etag = etag;
    this.#key = key;
    this.#onLeave = onLeave;
    this.#base = item ? ownFields(item) : {};
    this.#hasEdits = fields !== undefined;
    const editor = new FieldEditor(fields ?? (item ? this.#base : { title: "" }), () => (this.#hasEdits = true));
    this.#read = () => editor.read();
    this.element = this.#form(editor.element);
  }

  /** @param {Node} fields */
  #form(fields) {
    const onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#submit();
    };
    const remove = () => deleteItem(/** @type {string} */ (this.id));
    return h("form", { class: "item-form", noValidate: true, onsubmit }, this.#picture,
      h("div", { class: "middle" }, fields),
      h("div", { class: "actions" }, this.#problems,
        this.#item && button("Delete", remove, { class: "danger quiet-danger" }),
        h("span", { class: "space" }), button("Cancel", () => this.leave()),
        h("button", { class: "primary" }, this.#item ? "Save" : "Create")));
  }

  show() {
    this.#drawPicture();
    showView(this, this.#item ? nameOf(this.#item) : "New item", { parts: [this.element] });
    // Do not focus a field of an existing item: on a phone, the keyboard would cover it.
    if (!this.#item) $(".field textarea", this.element).focus();
  }

  // -------------------------------------------------------------------------------------------------------- as a view

  /** @param {Item} item */
  onItemChange(item) {
    if (this.#isConflict) return;
    this.#item = item;
    this.#drawPicture();
  }

  /** @param {File[]} files */
  addFiles(files) {
    if (this.#item) {
      attachPicture(this.#item.id, files);
      return;
    }
    if (files.length > 1) reportIgnoredFiles(files.slice(1));
    this.#file = files[0];
    this.#drawPicture();
  }

  hasChanges() {
    return !this.#isSigningIn && (this.#isSaving || this.#hasEdits || this.#file !== null);
  }

  leave() {
    if (this.#isSaving) announce("Saving is in progress.");
    else if (this.hasChanges()) this.#askToDiscard();
    else this.#onLeave(this.id);
  }

  #askToDiscard() {
    const stay = () => {
      this.#problems.replaceChildren();
      $(".primary", /** @type {Element} */ (this.#problems.parentElement)).focus();
    };
    const discard = button("Discard", () => this.#onLeave(this.id), { class: "danger" });
    this.#problems.replaceChildren(h("div", { class: "question", role: "alert" },
      h("p", {}, "Your changes are not saved."),
      h("div", { class: "row" }, discard, button("Keep editing", stay))));
    discard.focus();
  }

  // ------------------------------------------------------------------------------------------------------------ saving

  /** Return what to save, or null if a control shows what is wrong. */
  #readOrNull() {
    try {
      return this.#read();
    } catch {
      return null;
    }
  }

  async #submit() {
    const fields = this.#readOrNull();
    if (fields) await this.#attempt(() => (this.#item ? this.#replace(fields) : this.#create(fields)));
  }

  /** Run `action` with the form disabled. Show a Problem. @param {() => Promise<void>} action */
  async #attempt(action) {
    if (this.#isSaving) return; // A key can come before the form is disabled.
    this.#isSaving = true;
    this.#problems.replaceChildren();
    try {
      await disableWhile(action);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#problems.replaceChildren(problemBox(problem), problem.needsSignIn ? this.#signInOffer() : "");
    } finally {
      this.#isSaving = false;
    }
  }

  /** The fields survive the way to the issuer's page and back, but a file cannot. */
  #signInOffer() {
    if (!canSignIn) return tokenForm(() => this.#problems.replaceChildren());
    const note = "Everything is kept except the picture: choose it again afterwards.";
    return h("div", { class: "row" }, button("Sign in again", () => this.#signIn(), { class: "primary" }),
      this.#file && h("p", { class: "note" }, note));
  }

  #signIn() {
    const fields = this.#readOrNull();
    if (!fields) return;
    this.#isSigningIn = true;
    signIn({ item: this.#item, etag: this.#etag, fields, key: this.#key }).catch((failure) => {
      this.#isSigningIn = false;
      this.#problems.replaceChildren(problemBox(failure));
    });
  }

  /** @param {Fields} fields */
  async #create(fields) {
    if (!this.#key || !isEqual(this.#key.fields, fields)) this.#key = { fields, value: newIdempotencyKey() };
    const headers = { "Idempotency-Key": this.#key.value };
    const { data, etag } = await call("POST", "items", { body: fields, headers });
    if (this.#file) uploadPicture(this.#file, async () => data.id);
    showCard(data, etag);
    if (!this.#endEditing(data)) return;
    announce(`Created ${nameOf(data)}`);
    this.id = data.id; // closeDialog focuses its card.
    closeDialog();
  }

  /** @param {Fields} fields */
  async #replace(fields) {
    const headers = ifMatch(this.#etag);
    try {
      const { data, etag } = await call("PUT", itemPath(/** @type {string} */ (this.id)), { body: fields, headers });
      storeItem(data, etag);
      if (!this.#endEditing(data)) return;
      announce("Saved");
      this.#onLeave(data.id);
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
      await this.#resolveConflict(fields);
    }
  }

  /** Return whether the form is still shown. @param {Item} item */
  #endEditing(item) {
    ensureVisible(item.id);
    this.#hasEdits = false;
    return currentView() === this;
  }

  /** Have the user choose. If only the picture has changed, save again. @param {Fields} fields */
  async #resolveConflict(fields) {
    const { data, etag } = await call("GET", itemPath(/** @type {string} */ (this.id)));
    storeItem(data, etag);
    const theirs = ownFields(data);
    const comparison = new Comparison(this.#base, theirs, fields);
    const isWithoutConflict = isEqual(this.#base, theirs) || !comparison.hasDifferences;
    this.#item = data;
    this.#etag = etag;
    this.#base = theirs;
    if (isWithoutConflict) await this.#replace(fields);
    else this.#showConflict(data, etag, comparison);
  }

  /** @param {Item} item @param {string | null} etag @param {Comparison} comparison */
  #showConflict(item, etag, comparison) {
    this.#isConflict = true;
    this.#read = () => comparison.read();
    const view = conflictView(item, comparison, this.#problems, {
      edit: () => editItem({ item, etag, fields: comparison.read() }, this.#onLeave),
      takeTheirs: () => editItem({ item, etag }, this.#onLeave),
      save: () => this.#submit(),
    });
    showView(this, "Someone else changed this item", { parts: [view] });
  }

  // ----------------------------------------------------------------------------------------------------------- picture

  #drawPicture() {
    const hasFocus = this.#picture.contains(document.activeElement);
    const key = focusedKey();
    const parts = this.#item ? itemPicture(this.#item) : chosenPicture(this.#file, (file) => this.addFiles([file]));
    this.#picture.replaceChildren(...parts);
    if (hasFocus && !focusKey(key)) $("button", this.#picture).focus();
  }
}

/** @param {Item} item */
function itemPicture(item) {
  const { id, image } = item;
  const replace = button(image ? "Replace" : "Add picture", () => pickPictureFor(id), {
    "aria-label": image && "Replace the picture", "data-key": "replace",
  });
  const remove = button("Remove", () => removePicture(id), {
    "aria-label": "Remove the picture", "data-key": "remove", hidden: !image || image.status === "pending",
  });
  return [
    largeFrame(item),
    h("p", { class: "picture-error", hidden: !image?.error }, image?.error?.message),
    h("div", { class: "row" }, replace, remove),
  ];
}

/** @param {Item} item */
function largeFrame(item) {
  const { image } = item;
  if (image?.status !== "ready") return withUpload(h("div", { class: "frame large" }, placeholder(item)), item.id);
  const picture = pictureElement(item, { sizes: "(min-width: 50rem) 22rem, 90vw", uncropped: true });
  const frame = h("div", { class: "frame large fitted" }, picture);
  frame.style.aspectRatio = `${image.width} / ${image.height}`;
  return withUpload(frame, item.id);
}

/** @param {File | null} file @param {(file: File) => void} onPick */
function chosenPicture(file, onPick) {
  const frame = h("div", { class: "frame large" });
  if (file) {
    const src = URL.createObjectURL(file);
    frame.append(h("img", { alt: "", src, onload: () => URL.revokeObjectURL(src) }));
  } else {
    frame.append(h("p", { class: "hint" }, "Drop or paste a picture"));
  }
  const label = file ? "Choose another" : "Choose a picture";
  return [frame, h("div", { class: "row" }, button(label, () => pickPicture(onPick), { "data-key": "choose" }))];
}
