// Opens what a route names.

import { Problem } from "./api.js";
import { closeDialog, currentView } from "./dialog.js";
import { hasModifier, targetOf } from "./dom.js";
import { hasDraft, removeOldDrafts } from "./drafts.js";
import { readItem } from "./item-store.js";
import { loadForm, loadViewer, loadWebhooks } from "./lazy-modules.js";
import { clearRoute, currentRoute, itemIdOf, onRouteChange, setRoute } from "./page-url.js";

/** The route that was opened last. Its module may still be loading. */
let wanted = "";

/** @param {string} route */
async function openRoute(route) {
  wanted = route;
  const before = currentView();
  const isWanted = () => wanted === route && currentView() === before;
  const id = itemIdOf(route);
  if (id) {
    const { viewItem } = await loadViewer();
    if (isWanted()) viewItem(id);
  } else if (route === "#new") {
    const { openNewItem } = await loadForm();
    if (isWanted()) openNewItem();
  } else if (route.startsWith("#webhooks")) {
    const { openWebhooks } = await loadWebhooks();
    if (isWanted()) openWebhooks(route);
  } else if (currentView()) closeDialog();
  else if (route) clearRoute(); // The pictures of "#pictures" are gone after a reload.
}

/** Open an item's form with its draft, or show the item if it cannot be read. @param {string} id */
async function openDraft(id) {
  const [{ editItem }, { leaveForm, viewItem }] = await Promise.all([loadForm(), loadViewer()]);
  try {
    const stored = await readItem(id);
    if (!currentView()) editItem(stored, leaveForm);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (!currentView()) viewItem(id);
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

/** Open the route of the URL, unless the user has opened a view. An item with a draft is opened in its form. */
export function openFirstView() {
  removeOldDrafts();
  if (currentView() || wanted) return;
  const route = currentRoute();
  const id = itemIdOf(route);
  if (id && hasDraft(id)) openDraft(id);
  else openRoute(route);
}
