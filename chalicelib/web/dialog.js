// The dialog, which shows one view at a time, and questions above it.

import { $, button, h, targetOf } from "./dom.js";
import { onItemStored } from "./item-store.js";
import { clearRoute, setRoute } from "./page-url.js";

const dialog = $("#item");
const heading = $("h2", dialog);
const stage = $(".stage", dialog);
const content = $(".content", dialog);

// Nothing outside a modal dialog can be used: so these move into it, and back when it closes.
const movedElements = [...document.querySelectorAll("[data-moves-to-dialog]")].map((element) =>
  ({ element, parent: /** @type {Node} */ (element.parentNode), next: element.nextElementSibling }));

/** @type {View | null} */
let view = null;
/** What had the focus when the dialog was opened. @type {any} */
let opener = null;

export const currentView = () => view;

/**
 * Show a view.
 * @param {View} next
 * @param {string} title
 * @param {{picture?: Node[], parts: Node[]}} content
 */
export function showView(next, title, { picture = [], parts }) {
  view = next;
  dialog.className = next.kind;
  document.title = `${title} · Vitrine`;
  heading.textContent = title;
  replaceContent(picture, parts);
  if (!dialog.open) openDialog();
  content.scrollTop = 0;
  dialog.scrollTop = 0;
  heading.focus();
  setRoute(next.route);
}

/** @param {Node[] | false} picture @param {Node[]} parts */
function replaceContent(picture, parts) {
  if (picture) stage.replaceChildren(...picture);
  content.replaceChildren(...parts);
}

/**
 * Redraw the current view. The focus stays on the element with the same `data-key`, and the content where it is.
 * @param {string} title
 * @param {{picture: Node[] | false, parts: Node[]}} next if `picture` is false, what is there stays
 */
export function updateView(title, { picture, parts }) {
  const key = focusedKey();
  const { scrollTop } = content;
  heading.textContent = title;
  document.title = `${title} · Vitrine`;
  replaceContent(picture, parts);
  focusKey(key);
  content.scrollTop = scrollTop;
}

/** Return the focused element's `data-key`. @returns {string | undefined} */
export const focusedKey = () => /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.key;

/** Focus an element by its `data-key`. Return false if none is visible. @param {string} [key] */
export function focusKey(key) {
  const element = key && $(`[data-key="${key}"]`, dialog);
  if (!element || element.hidden) return false;
  element.focus();
  return true;
}

function openDialog() {
  opener = document.activeElement;
  dialog.showModal();
  dialog.append(...movedElements.map(({ element }) => element));
}

export function closeDialog() {
  const id = view?.id;
  view = null;
  if (dialog.open) dialog.close();
  for (const { element, parent, next } of movedElements.toReversed()) parent.insertBefore(element, next);
  replaceContent([], []);
  document.title = "Vitrine";
  clearRoute();
  // The card may have been replaced since it opened the dialog.
  const card = id && $(`#lists [data-id="${CSS.escape(id)}"] a`);
  (card || (opener?.isConnected ? opener : $("#new"))).focus();
}

const leaveView = () => (view ? view.leave() : closeDialog());

/**
 * Disable the dialog's content while `action` runs.
 * @param {() => Promise<void>} action
 */
export async function disableWhile(action) {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  content.inert = true;
  try {
    await action();
  } finally {
    content.inert = false;
    const isFocusLost = !document.activeElement || [document.body, dialog].includes(document.activeElement);
    if (isFocusLost && focused.isConnected) focused.focus();
  }
}

/**
 * Show a small dialog above everything. When it closes, the focus returns to where it was. Return the dialog.
 * @param {Record<string, any>} properties
 * @param {...Child} parts
 */
export function showQuestion(properties, ...parts) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const question = h("dialog", { class: "ask", "aria-labelledby": "question", ...properties }, parts);
  question.addEventListener("close", () => {
    question.remove();
    focused?.focus();
  });
  document.body.append(question);
  question.showModal();
  return question;
}

/** Return whether a small dialog is open. A second click may come before the first one has opened it. */
export const isAsking = () => $("dialog.ask") !== null;

/**
 * Return whether the user confirms.
 * @param {string} question
 * @param {string} label of the button that confirms
 * @returns {Promise<boolean>}
 */
export function confirmWith(question, label) {
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ value) => {
      resolve(value);
      asking.close();
    };
    const properties = { role: "alertdialog", "aria-labelledby": "confirmation", onclose: () => resolve(false) };
    const asking = showQuestion(properties,
      h("p", { id: "confirmation" }, question),
      h("div", { class: "row" }, button("Cancel", () => answer(false)),
        button(label, () => answer(true), { class: "primary" })));
  });
}

onItemStored((item, before) => {
  if (view?.id === item.id && before?.version !== item.version) view.onItemChange(item);
});

$(".close", dialog).addEventListener("click", leaveView);
// A browser lets only the first "cancel" be prevented: so the key is handled before it becomes one.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !dialog.open || event.isComposing || targetOf(event).closest?.(".ask")) return;
  event.preventDefault();
  leaveView();
}, { capture: true });
dialog.addEventListener("cancel", (/** @type {Event} */ event) => {
  if (event.target !== dialog) return;
  event.preventDefault();
  leaveView();
});
dialog.addEventListener("close", () => {
  if (!view || dialog.open) return;
  dialog.showModal(); // A phone closes the dialog if the user goes back twice.
  leaveView();
});
