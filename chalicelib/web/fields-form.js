// A form with fields, its buttons, its errors, and the question before changes are lost.

import { Problem } from "./api.js";
import { disableWhile } from "./dialog.js";
import { $, button, h, problemBox, targetOf, timeElement } from "./dom.js";

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
    const others = this.#editor.showErrors(problem.details);
    if (others.length === problem.details.length) {
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
