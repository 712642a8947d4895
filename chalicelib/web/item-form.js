// The form that changes or creates an item, and the comparison with another user's change.

import { Problem, call, ifMatch, itemPath } from "./api.js";
import { closeDialog, currentView, focusKey, focusedKey, showView } from "./dialog.js";
import { $, announce, button, h, problemBox, timeElement } from "./dom.js";
import { draftOf } from "./drafts.js";
import { isEqual, isNumber, toJson } from "./exact-json.js";
import { FieldEditor, FieldsForm, draftNotice } from "./fields-form.js";
import { pictureElement, placeholder } from "./item-card.js";
import { nameOf, ownFields } from "./item-fields.js";
import { attachPicture, pickPicture, pickPictureFor, removePicture, reportIgnoredFiles } from "./item-pictures.js";
import { storeItem } from "./item-store.js";
import { deleteItem } from "./item-writes.js";
import { createItem, keyFor, newItemFields } from "./new-item.js";
import { canSignIn, signIn } from "./oidc-session.js";
import { itemRoute } from "./page-url.js";
import { tokenForm } from "./sign-in-box.js";
import { withUpload } from "./upload-frames.js";
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
      notice: draftNotice(savedAt, () => this.#startOver()),
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
      const { data, etag } = await call("GET", itemPath(id));
      storeItem(data, etag);
      editItem({ item: data, etag }, this.#onLeave);
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

  /** Have the user choose. If only the picture has changed, save again. @param {string} id @param {Fields} fields */
  async #resolveConflict(id, fields) {
    const { data, etag } = await call("GET", itemPath(id));
    storeItem(data, etag);
    const { base } = this.#draft;
    const theirs = ownFields(data);
    const comparison = new Comparison(base, theirs, fields);
    this.#item = data;
    this.#draft = { ...this.#draft, base: theirs, etag };
    if (isEqual(base, theirs) || !comparison.hasDifferences) await this.#replace(id, fields);
    else this.#showConflict(data, comparison);
  }

  /** @param {Item} item @param {Comparison} comparison */
  #showConflict(item, comparison) {
    const { etag } = this.#draft;
    this.#conflict = comparison;
    const view = conflictView(item, comparison, this.#form.problems, {
      edit: () => editItem({ item, etag, fields: comparison.read() }, this.#onLeave),
      takeTheirs: () => {
        this.#kept.remove();
        editItem({ item, etag }, this.#onLeave);
      },
      save: () => this.#form.attempt(() => this.#save(comparison.read())),
    });
    showView(this, "Someone else changed this item", { parts: [view] });
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

// ---------------------------------------------------------------------------------------------------------- comparison

/** A choice for each field that differs. By default, what only one side has changed is kept. */
export class Comparison {
  #theirs;
  /** @type {FieldChoice[]} */
  #choices;

  /**
   * @param {Fields} base what both started from
   * @param {Fields} theirs
   * @param {Fields} yours
   */
  constructor(base, theirs, yours) {
    const [start, left, right] = [base, theirs, yours].map(withoutPrototype);
    const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
    this.#theirs = theirs;
    this.#choices = names.filter((name) => !isEqual(left[name], right[name])).map((name) =>
      new FieldChoice(name, { theirs: left, yours: right }, !isEqual(start[name], right[name])));
    this.element = h("table", { class: "conflict" },
      h("caption", {}, "Choose which value to keep of each field that differs."),
      h("thead", {}, h("tr", {}, ["Field", "Theirs", "Yours"].map((label) => h("th", { scope: "col" }, label)))),
      h("tbody", {}, this.#choices.map((choice) => choice.element)));
  }

  get hasDifferences() {
    return this.#choices.length > 0;
  }

  /** Return the fields with the chosen values. */
  read() {
    return this.#choices.reduce((fields, choice) => choice.applyTo(fields), { ...this.#theirs });
  }
}

/** Return a copy without inherited properties, such as `constructor`. @param {Fields} fields */
const withoutPrototype = (fields) => Object.assign(Object.create(null), fields);

class FieldChoice {
  /**
   * @param {string} name
   * @param {{theirs: Fields, yours: Fields}} sides
   * @param {boolean} isYoursChosen
   */
  constructor(name, sides, isYoursChosen) {
    this.name = name;
    this.sides = sides;
    this.yours = this.#radio("yours", isYoursChosen);
    this.theirs = this.#radio("theirs", !isYoursChosen);
    this.element = h("tr", {}, h("th", { scope: "row" }, name),
      optionCell(this.theirs, sides.theirs[name]), optionCell(this.yours, sides.yours[name]));
  }

  /** Set or remove the field. @param {Fields} fields */
  applyTo(fields) {
    const { [this.name]: _, ...rest } = fields;
    const chosen = this.yours.checked ? this.sides.yours : this.sides.theirs;
    return Object.hasOwn(chosen, this.name) ? { ...rest, [this.name]: chosen[this.name] } : rest;
  }

  /** @param {"yours" | "theirs"} side @param {boolean} checked */
  #radio(side, checked) {
    const properties = { type: "radio", name: `keep-${this.name}`, value: side, checked };
    return h("input", { ...properties, "aria-label": `${this.name}: keep ${side}` });
  }
}

/** @param {HTMLInputElement} radio @param {any} value */
function optionCell(radio, value) {
  const text = typeof value === "string" && !isNumber(value) ? value : toJson(value ?? null);
  const shown = value === undefined ? h("em", {}, "not set") : h("span", { class: "code" }, text);
  return h("td", {}, h("label", {}, radio, shown));
}

/**
 * Return what the dialog shows of a conflict.
 * @param {Item} item
 * @param {Comparison} comparison
 * @param {Node} problems where errors are shown
 * @param {{edit: () => void, takeTheirs: () => void, save: () => void}} actions
 */
export function conflictView(item, comparison, problems, { edit, takeTheirs, save }) {
  return h("div", { class: "conflict-view" },
    h("p", {}, `The item is now at version ${item.version}, saved `, timeElement(item.updatedAt),
      ". Nothing you typed is lost."),
    comparison.element,
    h("div", { class: "actions" }, problems, button("Back to the form", edit), h("span", { class: "space" }),
      button("Use all of theirs", takeTheirs), button("Save these values", save, { class: "primary" })));
}
