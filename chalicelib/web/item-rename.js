// Renames an item in its card or row.

import { Problem } from "./api.js";
import { $, announce, button, h, problemBox, targetOf } from "./dom.js";
import { declaredNameField, nameField, nameOf } from "./field-metadata.js";
import { cardElement } from "./gallery.js";
import { storedItem } from "./item-store.js";
import { patchItem } from "./item-writes.js";

/**
 * Show an input in place of an item's name.
 * @param {string} id
 */
export function startRenaming(id) {
  const card = cardElement(id);
  if (card?.isConnected && !$(".renaming", card)) new Renaming(id, $(".name", card));
}

class Renaming {
  #item;
  #field;
  #isSaving = false;
  #problems = h("div");

  /** @param {string} id @param {HTMLElement} place the element of the name */
  constructor(id, place) {
    this.#item = storedItem(id);
    this.#field = nameField(this.#item) ?? declaredNameField() ?? "title";
    this.#place = place;
    this.#input = h("input", {
      value: this.#original, "aria-label": `New name of ${nameOf(this.#item)}`, onblur: () => this.#leave(),
    });
    this.#form = h("form", {
      class: "renaming",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        this.#save();
      },
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Escape" || event.isComposing) return;
        event.stopPropagation();
        this.#close();
      },
    }, this.#input, this.#problems);
    this.#hidden = [...place.children];
    place.replaceChildren(this.#form);
    this.#input.select();
  }

  #place;
  #input;
  #form;
  #hidden;

  get #original() {
    return this.#item[this.#field] ?? "";
  }

  /** Save what was typed if the focus moves elsewhere in the page. A problem with its buttons stays. */
  #leave() {
    queueMicrotask(() => {
      const isLeft = this.#form.isConnected && document.activeElement !== this.#input;
      if (isLeft && !this.#problems.hasChildNodes() && !this.#isSaving) this.#save({ staysHere: false });
    });
  }

  /** @param {{staysHere?: boolean}} [options] whether the focus stays at the item */
  async #save({ staysHere = true } = {}) {
    const name = this.#input.value.trim();
    if (name === this.#original || name === "") {
      this.#close(staysHere);
      return;
    }
    if (this.#isSaving) return;
    this.#isSaving = true;
    this.#input.readOnly = true;
    // If the focus is on a button of the problem, it would be lost when that is removed.
    if (this.#problems.contains(document.activeElement)) this.#input.focus();
    this.#problems.replaceChildren();
    try {
      this.#item = await patchItem(this.#item, { [this.#field]: name });
      this.#close(staysHere);
      announce(`Renamed to ${name}`);
    } catch (problem) {
      this.#showProblem(problem);
    } finally {
      this.#isSaving = false;
      this.#input.readOnly = false;
    }
  }

  /** @param {unknown} problem */
  #showProblem(problem) {
    if (!(problem instanceof Problem)) throw problem;
    const now = storedItem(this.#item.id);
    const isConflict = problem.status === 412;
    const shown = isConflict
      ? new Problem({ message: `Someone else renamed it to “${nameOf(now)}” meanwhile.` }) : problem;
    this.#item = now; // The user has seen that name now.
    this.#problems.replaceChildren(problemBox(shown,
      button(isConflict ? "Use mine" : "Try again", () => this.#save()),
      button(isConflict ? "Keep theirs" : "Cancel", () => this.#close())));
    this.#input.focus();
  }

  /** @param {boolean} [staysHere] */
  #close(staysHere = true) {
    if (!this.#form.isConnected) return;
    const hasFocus = this.#form.contains(document.activeElement);
    this.#showName();
    if (staysHere && hasFocus) $("a", this.#place).focus();
  }

  /** The name may have changed while it was hidden. */
  #showName() {
    const name = nameOf(storedItem(this.#item.id));
    this.#place.replaceChildren(...this.#hidden);
    $("a", this.#place).textContent = name;
    $(".rename", this.#place).setAttribute("aria-label", `Rename ${name}`);
  }
}

$("#lists").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  const pencil = targetOf(event).closest(".rename");
  if (pencil) startRenaming(pencil.closest("[data-id]").dataset.id);
});
