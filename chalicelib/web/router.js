// Opens what a route names.

import { closeDialog, currentView } from "./dialog.js";
import { hasModifier, targetOf } from "./dom.js";
import { editItem, openNewItem } from "./item-form.js";
import { leaveForm, viewItem } from "./item-viewer.js";
import { currentRoute, onRouteChange, setRoute } from "./page-url.js";
import { itemIdOf } from "./page-url.js";

/** @param {string} route */
function openRoute(route) {
  const id = itemIdOf(route);
  if (id) viewItem(id);
  else if (route === "#new") openNewItem();
  else if (currentView()) closeDialog();
}

onRouteChange((route) => {
  const view = currentView();
  if (!view || (route !== "" && !view.hasChanges())) {
    openRoute(route);
    return;
  }
  view.leave(); // May ask, or lead to another view.
  const remaining = currentView();
  if (remaining) setRoute(remaining.route);
});

addEventListener("click", (event) => {
  const route = targetOf(event).closest?.('a[href^="#"]')?.getAttribute("href");
  if (!route || event.defaultPrevented || event.button !== 0 || hasModifier(event)) return;
  event.preventDefault();
  openRoute(route);
});

addEventListener("beforeunload", (event) => currentView()?.hasChanges() && event.preventDefault());

/**
 * Open the address's route, or the draft that was kept during a sign-in.
 * @param {any} draft
 */
export function openFirstView(draft) {
  if (draft?.fields) editItem(draft, leaveForm);
  else openRoute(draft?.route ?? currentRoute());
}
