// The form that changes or creates an item.

import { Problem, call, ifMatch, itemPath } from "./api.js";
import { closeDialog, currentView, focusKey, focusedKey, showView } from "./dialog.js";
import { $, announce, button, h, problemBox } from "./dom.js";
import { draftOf } from "./drafts.js";
import { isEqual } from "./exact-json.js";
import { nameOf, ownFields } from "./field-metadata.js";
import { FieldEditor, FieldsForm, draftNotice } from "./field-editor.js";
import { pictureElement, placeholder } from "./item-card-and-row.js";
import { Comparison, conflictView } from "./item-comparison.js";
import { attachPicture, pickPicture, pickPictureFor, removePicture, reportIgnoredFiles } from "./item-pictures.js";
import { entityTag, readItem, storeItem } from "./item-store.js";
import { deleteItem } from "./item-writes.js";
import { createItem, keyFor, newItemFields } from "./new-item.js";
import { canSignIn, signIn } from "./oidc-session.js";
import { itemRoute } from "./page-url.js";
import { tokenForm } from "./sign-in-box.js";
import { withUpload } from "./upload-preview.js";
import { uploadPicture } from "./uploads.js";

export { createItemsOf } from "./new-item.js";

/**
 * Open a form. It shows the item's draft if there is one, unless `fields` are given.
 * @param {FormStart} start
 * @param {(id?: string) => void} onLeave gets the id of the item, if there is one
 */
export const editItem = (start, onLeave) => new ItemForm(start, onLeave).show();

export const openNewItem = () => editItem({ item: null, etag: null }, closeDialog);

/** @implements {View} */
class ItemForm {
  kind = /** @type {const} */ ("editing");
  #item;
  #onLeave;
  #kept;
  /** What a draft consists of besides what was typed. @type {Draft} */
  #draft;
  #editor;
  #form;
  #isKept = true;
  /** @type {Comparison | null} */
  #conflict = null;
  #isSigningIn = false;
  /** The picture of a new item. @type {File | null} */
  #file = null;
  #picture = h("div", { class: "side" });
  /** The element that says that somebody else has changed the item. */
  #news = h("div", { role: "status" });

  /** @param {FormStart} start @param {(id?: string) => void} onLeave */
  constructor({ item, etag, fields }, onLeave) {
    this.id = item?.id;
    this.route = item ? itemRoute(item.id) : "#new";
    this.#item = item;
    this.#onLeave = onLeave;
    this.#kept = draftOf(this.id);
    const base = item ? ownFields(item) : {};
    const { content, savedAt, ...draft } = fields ? { fields } : this.#kept.load() ?? {};
    this.#draft = { base, etag, fields: item ? base : newItemFields(), ...draft };
    this.#editor = new FieldEditor(this.#draft.fields, () => this.#onEdit());
    if (content) this.#editor.restore(content);
    this.#form = this.#newForm(savedAt);
    this.#form.hasEdits = Boolean(savedAt || fields);
    if (fields) this.#keepDraft();
  }

  /** @param {string} [savedAt] when the draft that is shown was typed */
  #newForm(savedAt) {
    const { id } = this;
    const actions = {
      save: (/** @type {Fields} */ fields) => this.#save(fields),
      leave: () => this.leave(),
      offerSignIn: () => this.#signInOffer(),
    };
    return new FieldsForm(this.#editor, actions, {
      side: this.#picture,
      label: id ? "Save" : "Create",
      notice: [this.#news, draftNotice(savedAt, () => this.#startOver())],
      remove: id && button("Delete", () => deleteItem(id), { class: "danger quiet-danger" }),
    });
  }

  show() {
    this.#drawPicture();
    showView(this, this.#item ? nameOf(this.#item) : "New item", { parts: [this.#form.element] });
    // Do not focus a field of an existing item: on a phone, the keyboard would cover it.
    if (!this.#item) this.#editor.focus();
  }

  // -------------------------------------------------------------------------------------------------------- as a view

  /** @param {Item} item */
  onItemChange(item) {
    if (this.#conflict) return;
    this.#item = item;
    this.#drawPicture();
    if (this.#form.isSaving) return;
    if (isEqual(this.#draft.base, ownFields(item))) this.#news.replaceChildren();
    else if (this.#form.hasEdits) this.#tell("Someone else changed this item. What you typed stays.", this.#compare());
    else this.#showNext(item);
  }

  onItemGone() {
    if (this.#form.hasEdits) this.#tell("Someone else deleted this item. What you typed stays here until you leave.");
    else this.#onLeave(this.id);
  }

  /** @param {string} text @param {...Child} actions */
  #tell(text, ...actions) {
    this.#news.replaceChildren(h("div", { class: "draft-notice" }, h("p", {}, text), actions));
  }

  /** Show what somebody else has saved, if nothing was typed here. The focus stays at its field. @param {Item} item */
  #showNext(item) {
    const focused = labelOf(document.activeElement);
    editItem({ item, etag: entityTag(item.id) ?? null }, this.#onLeave);
    const controls = [...$("#item").querySelectorAll("input, textarea, select, button")];
    controls.find((one) => labelOf(one) === focused)?.focus();
    announce("Someone else changed this item. Its fields are up to date.");
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
    return !this.#isSigningIn && (this.#form.isSaving || this.#form.hasEdits || this.#file !== null);
  }

  losesChanges() {
    return this.hasChanges() && (this.#form.isSaving || this.#file !== null || !this.#isKept);
  }

  leave() {
    if (this.#form.isSaving) announce("Saving is in progress.");
    else if (this.hasChanges()) this.#form.askToDiscard(() => this.#discard());
    else this.#onLeave(this.id);
  }

  #discard() {
    this.#kept.remove();
    this.#onLeave(this.id);
  }

  // ------------------------------------------------------------------------------------------------------------- draft

  #onEdit() {
    this.#form.hasEdits = true;
    this.#keepDraft();
  }

  /** Keep what is shown. After a conflict, these are the chosen values. */
  #keepDraft() {
    this.#isKept = this.#kept.save(this.#conflict
      ? { ...this.#draft, fields: this.#conflict.read() }
      : { ...this.#draft, content: this.#editor.content });
  }

  #startOver() {
    this.#kept.remove();
    if (this.id) this.#reopen(this.id);
    else openNewItem();
  }

  /** Open the form with what is stored now. @param {string} id */
  async #reopen(id) {
    await this.#form.attempt(async () => {
      editItem(await readItem(id), this.#onLeave);
    });
  }

  // ------------------------------------------------------------------------------------------------------------ saving

  /** @param {Fields} fields */
  #save(fields) {
    return this.id ? this.#replace(this.id, fields) : this.#create(fields);
  }

  /** @param {Fields} fields */
  async #create(fields) {
    this.#draft.key = keyFor(fields, this.#draft.key);
    this.#keepDraft();
    const item = await createItem(fields, this.#draft.key);
    if (this.#file) uploadPicture(this.#file, async () => item.id);
    if (!this.#endEditing()) return;
    announce(`Created ${nameOf(item)}`);
    this.id = item.id; // closeDialog focuses its card.
    closeDialog();
  }

  /** @param {string} id @param {Fields} fields */
  async #replace(id, fields) {
    try {
      const { data, etag } = await call("PUT", itemPath(id), { body: fields, headers: ifMatch(this.#draft.etag) });
      storeItem(data, etag);
      if (!this.#endEditing()) return;
      announce("Saved");
      this.#onLeave(id);
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
      await this.#resolveConflict(id, fields);
    }
  }

  /** Return whether the form is still shown. */
  #endEditing() {
    this.#kept.remove();
    this.#form.hasEdits = false;
    return currentView() === this;
  }

  // ---------------------------------------------------------------------------------------------------------- conflict

  /** Return a button that shows both versions. */
  #compare() {
    return button("Compare", () => {
      const { id } = this;
      const fields = this.#form.readOrNull();
      if (id && fields) this.#form.attempt(() => this.#resolveConflict(id, fields, { isSaving: false }));
    }, { class: "text" });
  }

  /**
   * Have the user choose. If only the picture has changed, save again.
   * @param {string} id
   * @param {Fields} fields
   * @param {{isSaving?: boolean}} [options] whether the user has pressed Save
   */
  async #resolveConflict(id, fields, { isSaving = true } = {}) {
    const { item, etag } = await readItem(id);
    const { base } = this.#draft;
    const theirs = ownFields(item);
    const comparison = new Comparison(base, theirs, fields);
    this.#item = item;
    this.#draft = { ...this.#draft, base: theirs, etag };
    const { hasDifferences } = comparison;
    if (isSaving && (isEqual(base, theirs) || !hasDifferences)) await this.#replace(id, fields);
    else if (hasDifferences) this.#showConflict(item, comparison);
    else this.#takeTheirs(item, etag);
  }

  /** @param {Item} item @param {Comparison} comparison */
  #showConflict(item, comparison) {
    const { etag } = this.#draft;
    this.#conflict = comparison;
    const view = conflictView(item, comparison, this.#form.problems, {
      edit: () => editItem({ item, etag, fields: comparison.read() }, this.#onLeave),
      takeTheirs: () => this.#takeTheirs(item, etag),
      save: () => this.#form.attempt(() => this.#save(comparison.read())),
    });
    showView(this, "Someone else changed this item", { parts: [view] });
  }

  /** @param {Item} item @param {string | null} etag */
  #takeTheirs(item, etag) {
    this.#kept.remove();
    editItem({ item, etag }, this.#onLeave);
  }

  // ----------------------------------------------------------------------------------------------------------- sign-in

  /** What was typed survives the way to the issuer's page and back, but a file cannot. */
  #signInOffer() {
    if (!canSignIn) return tokenForm(() => this.#form.problems.replaceChildren());
    const note = "Everything is kept except the picture: choose it again afterwards.";
    return h("div", { class: "row" }, button("Sign in again", () => this.#signIn(), { class: "primary" }),
      this.#file && h("p", { class: "note" }, note));
  }

  #signIn() {
    this.#keepDraft();
    this.#isSigningIn = true;
    signIn().catch((failure) => {
      this.#isSigningIn = false;
      this.#form.problems.replaceChildren(problemBox(failure));
    });
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

/** Return the name of a control of a form. @param {Element | null} control */
const labelOf = (control) => control?.getAttribute("aria-label") ?? control?.textContent;

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
