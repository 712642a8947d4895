// Opens what a route names.

import { Problem, call, itemPath } from "./api.js";
import { closeDialog, currentView } from "./dialog.js";
import { hasModifier, targetOf } from "./dom.js";
import { hasDraft, removeOldDrafts } from "./drafts.js";
import { editItem, openNewItem } from "./item-form.js";
import { leaveForm, viewItem } from "./item-viewer.js";
import { storeItem } from "./item-store.js";
import { clearRoute, currentRoute, itemIdOf, onRouteChange, setRoute } from "./page-url.js";

/** @param {string} route */
function openRoute(route) {
  const id = itemIdOf(route);
  if (id) viewItem(id);
  else if (route === "#new") openNewItem();
  else if (currentView()) closeDialog();
  else if (route) clearRoute(); // The pictures of "#pictures" are gone after a reload.
}

/** Open an item's form with its draft, or show the item if it cannot be read. @param {string} id */
async function openDraft(id) {
  try {
    const { data, etag } = await call("GET", itemPath(id));
    storeItem(data, etag);
    if (!currentView()) editItem({ item: data, etag }, leaveForm);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    viewItem(id);
  }
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

addEventListener("beforeunload", (event) => currentView()?.losesChanges() && event.preventDefault());

/** Open the route of the URL. An item with a draft is opened in its form. */
export function openFirstView() {
  removeOldDrafts();
  const route = currentRoute();
  const id = itemIdOf(route);
  if (id && hasDraft(id)) openDraft(id);
  else openRoute(route);
}
