// The dialog: one at a time, about one item or a new one; and the address that leads to it.

import { $, button, h } from "./dom.js";
import { watch } from "./items.js";

const dialog = $("#item");
const heading = $("h2", dialog);
const stage = $(".stage", dialog);
const content = $(".content", dialog);

// Beside a modal dialog nothing is reached or heard: what goes on there comes along, and home again.
const homes = [...document.querySelectorAll("[data-along]")].map((element) => [element, element.parentNode, element.nextElementSibling]);

let view = null;
let opener = null;

/**
 * What the dialog shows, or null: `{id, kind, route, changed(item), take(files), leave(), touched()}`. `leave` goes one
 * step back, unless that would lose something: then it asks; `touched` is whether it would.
 */
export const current = () => view;

/** Shows `next` in place of whatever was shown. */
export function show(next, title, { picture = [], parts }) {
  view = next;
  dialog.className = next.kind;
  document.title = `${title} · Vitrine`;
  heading.textContent = title;
  stage.replaceChildren(...picture);
  content.replaceChildren(...parts);
  if (!dialog.open) open();
  content.scrollTop = 0;
  dialog.scrollTop = 0;
  heading.focus();
  enter(next.route);
}

function open() {
  opener = document.activeElement;
  dialog.showModal();
  dialog.append(...homes.map(([element]) => element));
}

export function close() {
  const id = view?.id;
  view = null;
  if (dialog.open) dialog.close();
  for (const [element, parent, next] of homes.toReversed()) parent.insertBefore(element, next);
  stage.replaceChildren();
  content.replaceChildren();
  document.title = "Vitrine";
  exit();
  // Its card may be another one by now than that which opened it.
  const card = id && $(`.card[data-id="${CSS.escape(id)}"] a`);
  (card || (opener?.isConnected ? opener : $("#new"))).focus();
}

/** Goes one step back: out of a form to the item, from the item to the gallery. */
export const leave = () => (view ? view.leave() : close());

/** Lets nothing be typed or pressed in the dialog while `action` runs; the focus is where it was when it ends. */
export async function whileBusy(action) {
  const focused = document.activeElement;
  content.inert = true;
  try {
    await action();
  } finally {
    content.inert = false;
    const lost = !document.activeElement || [document.body, dialog].includes(document.activeElement);
    if (lost && focused.isConnected) focused.focus();
  }
}

/** Asks before something is lost: whether the answer was `yes`, the label of the button that does it. */
export function ask(question, yes) {
  return new Promise((resolve) => {
    const answer = (given) => {
      asking.close();
      asking.remove();
      before?.focus();
      resolve(given);
    };
    const before = document.activeElement;
    const asking = h("dialog", { class: "ask", role: "alertdialog", "aria-labelledby": "question", oncancel: () => answer(false) },
      h("p", { id: "question" }, question),
      h("div", { class: "row" }, button("Cancel", () => answer(false)), button(yes, () => answer(true), { class: "primary" })));
    document.body.append(asking);
    asking.showModal();
  });
}

watch((item) => view?.id === item.id && view.changed(item));

$(".close", dialog).addEventListener("click", leave);
// A browser lets the first "cancel" be prevented and closes at the next, whatever was typed: so the key is taken first.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !dialog.open || event.isComposing || event.target.closest?.(".ask")) return;
  event.preventDefault();
  leave();
}, { capture: true });
dialog.addEventListener("cancel", (event) => {
  if (event.target !== dialog) return;
  event.preventDefault();
  leave();
});
dialog.addEventListener("close", () => {
  if (!view || dialog.open) return;
  dialog.showModal(); // Closed over our heads, as a phone's second Back does.
  leave();
});

// ------------------------------------------------------------------------------------------------------------- address

// Where somebody is in the console: "#item=<id>", "#new", or "" for the gallery.

export const here = () => location.hash;

/** The id of the item that a route leads to, or null. */
export function itemOf(route) {
  if (!route.startsWith("#item=")) return null;
  try {
    return decodeURIComponent(route.slice(6));
  } catch {
    return null; // "%" and no code after it.
  }
}

// Going back takes the browser a while: what comes next waits for it, so that it does not end in the wrong place.
let settled = Promise.resolve();
let arrived = null;

const inTurn = (step) => (settled = settled.then(step));

/** Says where somebody is now. From the gallery it is a step that Back undoes; from one item to the next it is none. */
export function enter(route) {
  inTurn(() => {
    if (here() === route) return;
    if (here()) history.replaceState(history.state, "", route);
    else history.pushState({ entered: true }, "", route);
  });
}

/** Back to the gallery, and so in the browser's history, unless somebody came from elsewhere. */
export function exit() {
  inTurn(() => {
    if (!here()) return undefined;
    if (!history.state?.entered) return history.replaceState(null, "", location.pathname + location.search);
    return new Promise((resolve) => {
      arrived = resolve;
      setTimeout(resolve, 1000); // A browser may refuse to go back.
      history.back();
    });
  });
}

/** Has `listener` called when somebody goes back or forth, or changes the address by hand. */
export function onRoute(listener) {
  addEventListener("popstate", () => {
    const ours = arrived;
    arrived = null;
    if (ours) ours();
    else listener(here());
  });
}
