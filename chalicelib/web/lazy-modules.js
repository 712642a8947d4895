// The modules that are loaded when they are needed, or when the browser is idle: many visits need none.

import { Problem } from "./api.js";
import { showErrorNotice } from "./dom.js";

export const loadViewer = () => reported(import("./item-viewer.js"));
export const loadForm = () => reported(import("./item-form.js"));
export const loadFiles = () => reported(import("./file-intake.js"));
export const loadSetField = () => reported(import("./set-field.js"));
export const loadImports = () => reported(import("./imports.js"));
export const loadExports = () => reported(import("./exports.js"));
export const loadCatalogue = () => reported(import("./public-catalogue.js"));
export const loadShares = () => reported(import("./share-links.js"));
export const loadWebhooks = () => reported(import("./webhooks.js"));

/**
 * Return what is loaded. If that fails, show a notice, and never resolve: what the user wanted is not done.
 * @template Module
 * @param {Promise<Module>} loading
 * @returns {Promise<Module>}
 */
function reported(loading) {
  return loading.catch(() => {
    showErrorNotice("This cannot be opened", new Problem({ message: "A file could not be loaded. Reload the page." }));
    return new Promise(() => {});
  });
}

/** The key under which the exports in the panel are kept in the storage of this tab. */
export const EXPORTS_KEY = "vitrine-exports";

/** Show the exports that were in the panel before the page was loaded again. */
export async function resumeExports() {
  if (sessionStorage.getItem(EXPORTS_KEY)) (await loadExports()).resume();
}

const WEBHOOKS_KEY = "vitrine-webhooks";

/** Remember in this browser whether the user has webhooks. @param {boolean} areThere */
export function rememberWebhooks(areThere) {
  try {
    if (areThere) localStorage.setItem(WEBHOOKS_KEY, "1");
    else localStorage.removeItem(WEBHOOKS_KEY);
  } catch {
    // Storage may be blocked. Then their states are read only when their page is opened.
  }
}

/** Say which webhooks do not work, if this browser has seen any: then visits of other users make no request. */
async function checkWebhooks() {
  if (localStorage.getItem(WEBHOOKS_KEY)) (await import("./webhooks.js")).readStates();
}

/** Load all modules before they are needed, so that they are there offline too. */
export async function loadAll() {
  const ignore = () => {}; // It is reported when the module is needed.
  await import("./item-viewer.js").catch(ignore);
  await import("./item-form.js").catch(ignore);
  await import("./file-intake.js").catch(ignore);
  await import("./set-field.js").catch(ignore);
  await import("./imports.js").catch(ignore);
  await checkWebhooks().catch(ignore);
}
