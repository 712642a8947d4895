// Starts the console, and handles its buttons and the session.

import { Problem, call, resolveLinks } from "./api.js";
import { $, relativeTime, showErrorNotice, targetOf } from "./dom.js";
import { clearGallery, loadPage, showSignIn } from "./list-loading.js";
import { completeSignIn, signOut, token, userName } from "./oidc-session.js";
import { loadFirstPage } from "./toolbar.js";

// --------------------------------------------------------------------------------------------------- modules for later

/** Each file is one Lambda invocation, and a new AWS account allows few at once: load first what shows items. */
async function loadRest() {
  const [router, lazy, writes, drafts, live] = await Promise.all([
    import("./router.js"), import("./lazy-modules.js"), import("./item-writes.js"), import("./drafts.js"),
    import("./live-updates.js"), import("./selection.js"), import("./keyboard.js"),
  ]);
  return { ...router, ...lazy, ...writes, ...drafts, ...live };
}

/** @type {(modules: ReturnType<typeof loadRest>) => void} */
let setRest;
/** @type {ReturnType<typeof loadRest>} */
const rest = new Promise((resolve) => (setRest = resolve));
const ignoreFailure = () => {}; // `start` reports it.

/** @param {(files: typeof import("./file-intake.js")) => void} use */
const loadFiles = (use) => rest.then((modules) => modules.loadFiles().then(use), ignoreFailure);

for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-action]"))) {
  const act = () => loadFiles(({ actions }) => actions[element.dataset.action ?? ""]());
  element.addEventListener("click", act);
}

$("#skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault(); // The hash of the address is a route.
  ($("#lists a[tabindex='0'], #lists [data-id] a") ?? $("#find")).focus();
});

/** @param {DragEvent} event */
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

// Here and not in file-intake.js: until that is loaded, the browser would open the file.
addEventListener("dragover", (event) => {
  if (!event.dataTransfer || !hasFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
addEventListener("drop", (event) => {
  if (!event.dataTransfer || !hasFiles(event)) return;
  event.preventDefault();
  const [files, target] = [[...event.dataTransfer.files], targetOf(event)];
  loadFiles(({ addFiles }) => addFiles(files, target));
});

// ------------------------------------------------------------------------------------------------------------- session

function showSession() {
  $("#account").hidden = !token();
  $("#user-name").textContent = userName();
}

addEventListener("session", showSession);

$("#sign-out").addEventListener("click", async () => {
  await rest.then(({ finishDeletes }) => finishDeletes(), ignoreFailure);
  await rest.then(({ removeDrafts }) => removeDrafts(), ignoreFailure);
  const signedOut = signOut();
  clearGallery();
  showSession();
  await signedOut.catch(() => {}); // It has ended here, even if the issuer does not respond.
  loadPage({ fromStart: true });
});

async function start() {
  try {
    await completeSignIn();
    showSession();
    loadFirstPage();
  } catch (failure) {
    showSignIn(/** @type {Error} */ (failure));
  }
  setRest(loadRest());
  try {
    const { openFirstView, loadAll, resumeExports, startLiveUpdates } = await rest;
    openFirstView();
    resumeExports();
    startLiveUpdates();
    (window.requestIdleCallback ?? setTimeout)(loadAll); // Safari has no requestIdleCallback.
    addEventListener("online", loadAll); // It may have failed offline.
  } catch {
    const problem = new Problem({ message: "Some files could not be loaded. Reload the page when you are online." });
    showErrorNotice("The page did not load completely", problem);
  }
}

// ---------------------------------------------------------------------------------------------------------------- page

function showOffline() {
  $("#offline").hidden = navigator.onLine;
}

addEventListener("offline", showOffline);
addEventListener("online", showOffline);

setInterval(() => {
  for (const element of document.querySelectorAll("time")) {
    element.textContent = relativeTime(new Date(element.dateTime));
  }
}, 30_000);

async function showStage() {
  const { data } = await call("GET", "health");
  $("#stage").textContent = data.stage;
  $("#stage").title = `Vitrine ${data.version}`;
  $("#stage").hidden = false;
}

resolveLinks();
showOffline();
showSession();
showStage().catch(() => {});
start();
