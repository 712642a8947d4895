// Starts the console, and handles its toolbar, its buttons and the session.

import { Problem, call, resolveLinks } from "./api.js";
import { $, relativeTime, showErrorNotice, targetOf } from "./dom.js";
import { clearGallery, filterCards, loadPage, setQuery, showSignIn } from "./gallery.js";
import { completeSignIn, signOut, token, userName } from "./oidc-session.js";

// ------------------------------------------------------------------------------------------------------------- toolbar

const DAY = 24 * 60 * 60 * 1000;
const age = $("#age");
const dates = $("#dates");
const [from, to] = [$("#from"), $("#to")];

/**
 * Return the start of a day in the user's time zone.
 * @param {string} date such as "2026-01-31"
 * @param {number} [daysLater]
 */
function startOfDay(date, daysLater = 0) {
  const [year, month, day] = date.split("-").map(Number);
  return new Date(year, month - 1, day + daysLater);
}

/** Return parameters of `GET /items`, which excludes the bounds themselves. */
function ageBounds() {
  if (age.value === "any") return { createdAfter: null, createdBefore: null };
  if (age.value !== "between") {
    return { createdAfter: new Date(Date.now() - age.value * DAY).toISOString(), createdBefore: null };
  }
  return {
    createdAfter: from.value ? new Date(startOfDay(from.value).getTime() - 1).toISOString() : null,
    createdBefore: to.value ? startOfDay(to.value, 1).toISOString() : null,
  };
}

function applyAge() {
  dates.hidden = age.value !== "between";
  to.min = from.value;
  from.max = to.value;
  setQuery(ageBounds());
}

age.addEventListener("change", applyAge);
dates.addEventListener("change", applyAge);
$("#order").addEventListener("change", (/** @type {Event} */ event) => setQuery({ order: targetOf(event).value }));
$("#find").addEventListener("input", (/** @type {Event} */ event) => filterCards(targetOf(event).value));
$("#refresh").addEventListener("click", () => loadPage({ fromStart: true }));
$("#toolbar").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
$("#show-all").addEventListener("click", () => {
  $("#find").value = "";
  filterCards("");
  if (age.value !== "any") {
    age.value = "any";
    applyAge();
  }
  $("#find").focus();
});

// --------------------------------------------------------------------------------------------------- modules for later

/** Each file is one Lambda invocation, and a new AWS account allows few at once: load first what shows items. */
async function loadRest() {
  const [router, files, itemActions] = await Promise.all([
    import("./router.js"), import("./added-files.js"), import("./item-actions.js"),
  ]);
  return { ...router, ...files, ...itemActions };
}

/** @type {(modules: ReturnType<typeof loadRest>) => void} */
let setRest;
/** @type {ReturnType<typeof loadRest>} */
const rest = new Promise((resolve) => (setRest = resolve));
const ignoreFailure = () => {}; // `start` reports it.

for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-action]"))) {
  const act = () => rest.then(({ actions }) => actions[element.dataset.action ?? ""](), ignoreFailure);
  element.addEventListener("click", act);
}

/** @param {DragEvent} event */
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

// Here and not in added-files.js: until that is loaded, the browser would open the file.
addEventListener("dragover", (event) => {
  if (!event.dataTransfer || !hasFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
addEventListener("drop", (event) => {
  if (!event.dataTransfer || !hasFiles(event)) return;
  event.preventDefault();
  const [files, target] = [[...event.dataTransfer.files], targetOf(event)];
  rest.then(({ addFiles }) => addFiles(files, target), ignoreFailure);
});

// ------------------------------------------------------------------------------------------------------------- session

function showSession() {
  $("#account").hidden = !token();
  $("#user-name").textContent = userName();
}

addEventListener("session", showSession);

$("#sign-out").addEventListener("click", async () => {
  await rest.then(({ finishDeletes }) => finishDeletes(), ignoreFailure);
  const signedOut = signOut();
  clearGallery();
  showSession();
  await signedOut.catch(() => {}); // It has ended here, even if the issuer does not respond.
  loadPage({ fromStart: true });
});

async function start() {
  let draft = null;
  try {
    draft = await completeSignIn();
    showSession();
    loadPage();
  } catch (failure) {
    showSignIn(/** @type {Error} */ (failure));
  }
  setRest(loadRest());
  try {
    (await rest).openFirstView(draft);
  } catch {
    const problem = new Problem({ message: "Some files could not be loaded. Reload the page." });
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
