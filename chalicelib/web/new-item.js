// New items: what a form of one begins with, and the items of many pictures.

import { call, newIdempotencyKey } from "./api.js";
import { closeDialog, showView } from "./dialog.js";
import { announce, button, h, plural, problemBox } from "./dom.js";
import { draftOf } from "./drafts.js";
import { isEqual } from "./exact-json.js";
import { FieldEditor, FieldsForm, draftNotice } from "./field-editor.js";
import { violation } from "./scalar-inputs.js";
import { showCard } from "./gallery.js";
import { SETTINGS, declaredNameField, fieldLabel, isTextSchema, itemSchemas } from "./field-metadata.js";
import { SchemaReader } from "./json-schema.js";
import { canSignIn, signIn } from "./oidc-session.js";
import { pictureType } from "./picture-types.js";
import { tokenForm } from "./sign-in-box.js";
import { reportRefused, uploadPicture } from "./uploads.js";

/**
 * Return the fields that the form of a new item begins with: a title, if no fields are declared.
 * @param {Record<string, Schema>} [schemas]
 * @returns {Fields}
 */
export function newItemFields(schemas = itemSchemas) {
  const { isOpen, properties } = itemSchema(schemas);
  const isAnyObject = isOpen && Object.keys(properties).every((name) => SETTINGS.includes(name));
  return isAnyObject ? { title: "" } : {};
}

/** @param {Record<string, Schema>} schemas */
function itemSchema(schemas) {
  const { properties = {}, required = [], additionalProperties } = schemas.ItemFields ?? {};
  return { properties, required: /** @type {string[]} */ (required), isOpen: additionalProperties !== false };
}

/**
 * Create an item, and show its card.
 * @param {Fields} fields
 * @param {{value: string}} key sent again with the same key, the same fields create one item
 * @returns {Promise<Item>}
 */
export async function createItem(fields, key) {
  const { data, etag } = await call("POST", "items", { body: fields, headers: { "Idempotency-Key": key.value } });
  showCard(data, etag);
  return data;
}

/**
 * Return the key that fields were sent with before, or a new one.
 * @param {Fields} fields
 * @param {CreationKey} [last]
 * @returns {CreationKey}
 */
export const keyFor = (fields, last) =>
  (last && isEqual(last.fields, fields) ? last : { fields, value: newIdempotencyKey() });

// ------------------------------------------------------------------------------------------------------------ pictures

/**
 * Return how to make an item of each picture. It is named after its file, as far as the schema allows.
 * @param {string[]} files their names without extensions
 * @param {Record<string, Schema>} [schemas]
 * @returns {PicturesPlan}
 */
export function planPictures(files, schemas = itemSchemas) {
  const { properties, required } = itemSchema(schemas);
  const field = pictureNameField(schemas);
  const schema = new SchemaReader({ components: { schemas } }).resolve(properties[field] ?? { type: "string" });
  const names = files.map((name) => [...name].slice(0, schema.maxLength).join(""));
  const isValid = (/** @type {string} */ name) => violation(name, schema) === "";
  if (required.every((name) => name === field && names.every(isValid))) {
    return { field, items: names.map((name) => named({}, field, isValid(name) ? name : undefined)) };
  }
  const asked = Object.fromEntries(required.filter((name) => name !== field).map((name) => [name, properties[name]]));
  if (field) asked[field] = schemaOfNames(field, schema, files, required.includes(field));
  const typed = names.map((name, place) => ({ name: `${place}`, content: name }));
  return {
    field,
    schemas: { ...schemas, ItemFields: { type: "object", properties: asked, required, additionalProperties: false } },
    suggested: field ? [{ name: field, content: typed }] : [],
    itemsOf({ [field]: own, ...shared }) {
      return files.map((_, place) => named(shared, field, own?.[place]));
    },
  };
}

/** Return the field that a picture's item is named in, or "". @param {Record<string, Schema>} schemas */
function pictureNameField(schemas) {
  const { properties, required, isOpen } = itemSchema(schemas);
  const declared = required.find((name) => isTextSchema(properties[name])) ?? declaredNameField(schemas);
  return declared ?? (isOpen && !properties.title ? "title" : "");
}

/** @param {Fields} fields @param {string} field @param {string} [name] */
const named = (fields, field, name) => (field && name ? { ...fields, [field]: name } : fields);

/**
 * Return the schema of an object with a name for each file. `isCompact` is for the form: a file and its name in a line.
 * @param {string} field
 * @param {Schema} schema of one name
 * @param {string[]} files
 * @param {boolean} isRequired
 */
function schemaOfNames(field, { description, ...schema }, files, isRequired) {
  const properties = { ...files.map((title) => ({ ...schema, title })) };
  const required = isRequired ? Object.keys(properties) : [];
  const title = `${fieldLabel(field)} of each picture`;
  return { type: "object", title, description, properties, required, isCompact: true };
}

const MAX_PREVIEWS = 12;

/** @param {File} file */
const nameWithoutExtension = ({ name }) => (name || "Pasted picture").replace(/\.[^.]+$/, "");

/**
 * Create an item for each picture. Report the files that are not pictures.
 * @param {File[]} files
 */
export function createItemsOf(files) {
  const pictures = files.filter(pictureType);
  const others = files.filter((file) => !pictureType(file));
  for (const file of others) reportRefused(file, ([other]) => createItemsOf([other]));
  if (pictures.length === 0) return;
  const plan = planPictures(pictures.map(nameWithoutExtension));
  if (plan.items) pictures.forEach((file, place) => createItemOf(file, plan.items[place]));
  else reopened(pictures).show();
}

/** @param {File} file @param {Fields} fields */
function createItemOf(file, fields) {
  const key = { value: newIdempotencyKey() }; // A retry does not create a second item.
  uploadPicture(file, async () => (await createItem(fields, key)).id);
}

/** Asks for the fields that new items of pictures need. @implements {View} */
class PicturesForm {
  kind = /** @type {const} */ ("editing");
  route = "#pictures";
  #files;
  #plan;
  #editor;
  #form;
  #kept = draftOf("pictures");
  /** @type {CreationKey | undefined} */
  #key;

  /** @param {File[]} files @param {PicturesQuestions} plan */
  constructor(files, plan) {
    this.#files = files;
    this.#plan = plan;
    this.#editor = new FieldEditor({}, () => this.#keepDraft(), { schemas: plan.schemas, isItem: false });
    this.#editor.restore({ tab: 0, form: plan.suggested });
    const draft = this.#kept.load();
    if (draft) this.#editor.restore(draft.content);
    const actions = {
      save: (/** @type {Fields} */ fields) => this.#create(fields),
      leave: () => this.leave(),
      offerSignIn: () => this.#signInOffer(),
    };
    this.#form = new FieldsForm(this.#editor, actions, {
      side: previews(files),
      label: `Create ${plural(files.length, "item")}`,
      notice: draftNotice(draft?.savedAt, () => this.#startOver()),
    });
  }

  show() {
    showView(this, `Add ${plural(this.#files.length, "picture")}`, { parts: [this.#form.element] });
    this.#editor.focus();
  }

  onItemChange() {}

  /** Add more pictures. What was typed for the others stays. @param {File[]} files */
  addFiles(files) {
    const form = reopened([...this.#files, ...files.filter(pictureType)]);
    form.#editor.restore(this.#editor.content);
    form.show();
  }

  #startOver() {
    this.#kept.remove();
    reopened(this.#files).show();
  }

  /** Keep what holds for all pictures: the pictures themselves cannot be kept. */
  #keepDraft() {
    const { tab, form } = this.#editor.content;
    const shared = form.filter((/** @type {{name: string}} */ { name }) => name !== this.#plan.field);
    this.#kept.save({ base: {}, etag: null, fields: {}, content: { tab, form: shared } });
  }

  hasChanges() {
    return this.#files.length > 0;
  }

  losesChanges() {
    return this.hasChanges();
  }

  leave() {
    if (this.#form.isSaving) announce("Saving is in progress.");
    else this.#form.askToDiscard(() => this.#close());
  }

  #close() {
    this.#kept.remove();
    closeDialog();
  }

  /**
   * The first item shows whether the API accepts the fields; the others are created with their uploads.
   * @param {Fields} entered
   */
  async #create(entered) {
    const [first, ...others] = this.#plan.itemsOf(entered);
    this.#key = keyFor(first, this.#key);
    const { id } = await createItem(first, this.#key);
    const [file, ...files] = this.#files;
    this.#close();
    uploadPicture(file, async () => id);
    files.forEach((one, place) => createItemOf(one, others[place]));
  }

  #signInOffer() {
    if (!canSignIn) return tokenForm(() => this.#form.problems.replaceChildren());
    const start = () => signIn().catch((failure) => this.#form.problems.replaceChildren(problemBox(failure)));
    return h("div", { class: "row" }, button("Sign in again", start, { class: "primary" }),
      h("p", { class: "note" }, "Everything is kept except the pictures: add them again afterwards."));
  }
}

/** @param {File[]} files */
const reopened = (files) =>
  new PicturesForm(files, /** @type {PicturesQuestions} */ (planPictures(files.map(nameWithoutExtension))));

/** @param {File[]} files */
function previews(files) {
  const shown = files.slice(0, MAX_PREVIEWS).map((file) => {
    const src = URL.createObjectURL(file);
    const release = () => URL.revokeObjectURL(src);
    return h("img", { alt: "", src, title: file.name, onload: release, onerror: release });
  });
  const rest = files.length - shown.length;
  return h("div", { class: "side" }, h("div", { class: "previews" }, shown),
    rest > 0 && h("p", { class: "note" }, `and ${plural(rest, "more picture")}`));
}
