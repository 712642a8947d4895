// The editor of fields, in rows or as JSON, and the form around it: its buttons, its errors, and the question before
// changes are lost.

import { Problem } from "./api.js";
import { disableWhile } from "./dialog.js";
import { $, button, h, problemBox, targetOf, timeElement } from "./dom.js";
import { isObject } from "./exact-json.js";
import { EXPIRES_AT, itemSchemas } from "./field-metadata.js";
import { FieldList } from "./field-rows.js";
import { SchemaReader } from "./json-schema.js";
import { Input, invalid } from "./scalar-inputs.js";

/** All fields as JSON. */
class JsonForm {
  #input;
  #error = h("p", { class: "field-error", id: "raw-error" });

  /** @param {Fields} fields */
  constructor(fields) {
    this.#input = new Input("json", fields);
    this.#input.element.classList.add("raw");
    this.#input.setLabel("The item's fields as JSON", "raw");
    this.elements = [h("div", { class: "field", oninput: () => this.#show("") }, this.#input.element, this.#error)];
  }

  get content() {
    return this.#input.content;
  }

  set content(text) {
    this.#input.content = text;
  }

  read() {
    this.#show("");
    try {
      const fields = this.#input.read();
      return isObject(fields) ? fields : invalid("Enter a JSON object, such as { \"title\": \"Vase\" }.");
    } catch (error) {
      this.#show(/** @type {Error} */ (error).message);
      throw error;
    }
  }

  /** A text has no place for the error of a single field. */
  showError() {
    return false;
  }

  focus() {
    this.#input.focus();
  }

  /** @param {string} message */
  #show(message) {
    this.#error.textContent = message;
    this.#input.showError("", message);
    this.elements[0].classList.toggle("invalid", message !== "");
  }
}

/** The two forms in tabs. */
export class FieldEditor {
  #tabs = [this.#tab("Fields", 0), this.#tab("JSON", 1)];
  #body = h("div", { id: "editor-body", role: "tabpanel" });
  #reader;
  #schema;
  #isItem;
  #fields;
  #index = 0;
  #isRestoring = false;
  /** @type {FieldList | JsonForm} */
  #form;

  /**
   * @param {Fields} fields
   * @param {() => void} onChange
   * @param {{schemas?: Record<string, Schema>, isItem?: boolean}} [options] the schemas by which the form is built, and
   *   whether it shows all that an item can have
   */
  constructor(fields, onChange, { schemas = itemSchemas, isItem = true } = {}) {
    this.#isItem = isItem;
    this.#fields = fields;
    this.#reader = new SchemaReader({ components: { schemas } });
    this.#schema = this.#reader.resolve(schemas.ItemFields);
    this.#form = this.#show(fields, 0);
    const onkeydown = (/** @type {KeyboardEvent} */ event) => this.#switchByKey(event);
    const tabList = h("div", { role: "tablist", class: "tabs", "aria-label": "How to edit", onkeydown }, this.#tabs);
    const changed = () => this.#isRestoring || onChange();
    const listeners = { oninput: changed, onchange: changed, onremoved: changed };
    this.element = h("div", { class: "editor", ...listeners }, isItem && tabList, this.#body);
  }

  /** Return the fields. Throw InvalidInput after the first wrong field got the focus. @returns {Fields} */
  read() {
    try {
      return this.#form.read();
    } catch (error) {
      this.focusError();
      throw error;
    }
  }

  /** What was typed, whether valid or not: `restore` shows it again. */
  get content() {
    return { tab: this.#index, form: this.#form.content };
  }

  /** @param {{tab: number, form: any}} content */
  restore({ tab, form }) {
    this.#isRestoring = true;
    try {
      if (tab !== this.#index) this.#form = this.#show({}, tab);
      this.#form.content = form;
    } catch {
      this.#form = this.#show(this.#fields, 0); // What another version of the console has kept may not fit.
    }
    this.#isRestoring = false;
  }

  /**
   * Show errors of the API at their fields. Return the others.
   * @param {ProblemDetail[]} details
   */
  showErrors(details) {
    return details.filter(({ path, message }) => !message || !this.#form.showError(path.replace(/^\$/, ""), message));
  }

  /** Focus the first field that shows an error. Return false if there is none. */
  focusError() {
    const field = $(".field.invalid:not(:has(.field.invalid))", this.#body);
    $("[aria-invalid=true], .name:invalid, input, textarea, select, button", field ?? this.#body)?.focus();
    return field !== null;
  }

  focus() {
    this.#form.focus();
  }

  /** @param {string} label @param {number} index */
  #tab(label, index) {
    const properties = { role: "tab", id: `tab-${label}`, "aria-controls": "editor-body" };
    return button(label, () => this.#switchTo(index), properties);
  }

  /** @param {Fields} fields @param {number} index of the tab */
  #show(fields, index) {
    const form = index === 0 ? new FieldList(this.#reader, this.#schema, fields, this.#isItem) : new JsonForm(fields);
    this.#index = index;
    this.#body.replaceChildren(...form.elements);
    this.#tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === index));
      tab.tabIndex = place === index ? 0 : -1;
    });
    this.#body.setAttribute("aria-labelledby", this.#tabs[index].id);
    return form;
  }

  /** Required fields may still be missing. @param {number} index */
  #switchTo(index) {
    try {
      this.#form = this.#show(this.#form.read(true), index);
    } catch {
      this.focusError();
    }
  }

  /** @param {KeyboardEvent} event */
  #switchByKey(event) {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key) || targetOf(event).getAttribute("role") !== "tab") return;
    const other = /** @type {HTMLElement} */ (this.#tabs.find((tab) => tab.tabIndex < 0));
    other.click();
    other.focus();
  }
}

/**
 * Return a notice that a form shows a draft.
 * @param {string | undefined} savedAt when it was typed; without it, there is none
 * @param {() => void} startOver
 */
export function draftNotice(savedAt, startOver) {
  return savedAt && h("div", { class: "draft-notice", role: "status" },
    h("p", {}, "Unsaved changes from ", timeElement(savedAt), " were restored."),
    button("Start over", startOver, { class: "text" }));
}

export class FieldsForm {
  /** Whether something was typed. */
  hasEdits = false;
  isSaving = false;
  /** Where errors and questions are shown. */
  problems = h("div", { class: "problems" });
  #editor;
  #save;
  #offerSignIn;

  /**
   * @param {FieldEditor} editor
   * @param {FormActions} actions
   * @param {{side: Node, label: string, notice?: Child, remove?: Child}} parts `label` is that of the button that saves
   */
  constructor(editor, { save, leave, offerSignIn }, { side, label, notice, remove }) {
    this.#editor = editor;
    this.#save = save;
    this.#offerSignIn = offerSignIn;
    const listeners = {
      onsubmit: (/** @type {Event} */ event) => this.#onSubmit(event),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
    };
    this.element = h("form", { class: "item-form", noValidate: true, ...listeners }, side,
      h("div", { class: "middle" }, notice, editor.element),
      h("div", { class: "actions" }, this.problems, remove,
        h("span", { class: "space" }), button("Cancel", leave), h("button", { class: "primary" }, label)));
  }

  /** @param {Event} event */
  #onSubmit(event) {
    event.preventDefault();
    this.submit();
  }

  /** Save by Ctrl or Cmd and Enter, from all places of the form. @param {KeyboardEvent} event */
  #onKey(event) {
    const isSave = event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing;
    if (!isSave || targetOf(event).closest(".token-form")) return;
    event.preventDefault();
    this.submit();
  }

  /** Return the fields, or null if a field shows what is wrong with it. */
  readOrNull() {
    try {
      return this.#editor.read();
    } catch (error) {
      if (error instanceof SyntaxError) return null;
      throw error;
    }
  }

  async submit() {
    const fields = this.readOrNull();
    if (fields) await this.attempt(() => this.#save(fields));
  }

  /**
   * Run `action` with the dialog disabled. Show a Problem.
   * @param {() => Promise<void>} action
   */
  async attempt(action) {
    if (this.isSaving) return; // A key can come before the form is disabled.
    this.isSaving = true;
    this.problems.replaceChildren();
    try {
      await disableWhile(action);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#show(problem);
      if (problem.needsSignIn) this.problems.append(this.#offerSignIn());
    } finally {
      this.isSaving = false;
    }
  }

  /** Show a problem's details at their fields, and the rest above the buttons. @param {Problem} problem */
  #show(problem) {
    const isOfExpiry = problem.error === "INVALID_EXPIRY"; // It has no details.
    const details = isOfExpiry ? [{ path: `$.${EXPIRES_AT}`, message: problem.message }] : problem.details;
    const others = this.#editor.showErrors(details);
    if (others.length === details.length) {
      this.problems.replaceChildren(problemBox(problem));
      return;
    }
    const [{ message } = { message: "Change the marked fields." }] = others;
    const { error, requestId, status } = problem;
    this.problems.replaceChildren(problemBox(new Problem({ message, error, requestId, status, details: others })));
    this.#editor.focusError();
  }

  /** Ask before changes are lost. The focus is on the button that loses nothing. @param {() => void} discard */
  askToDiscard(discard) {
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    const stay = button("Keep editing", () => {
      this.problems.replaceChildren();
      const isInForm = focused.isConnected && this.element.contains(focused);
      (isInForm ? focused : $(".primary", /** @type {Element} */ (this.problems.parentElement))).focus();
    });
    this.problems.replaceChildren(h("div", { class: "question", role: "alert" },
      h("p", {}, "Your changes are not saved."),
      h("div", { class: "row" }, button("Discard changes", discard, { class: "danger" }), stay)));
    stay.focus();
  }
}
