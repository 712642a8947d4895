// The console's page: what is above the gallery, who is signed in, and what it all begins with.

import { Problem, call } from "./api.js";
import { $, relative, task } from "./dom.js";
import { filter, load, lookFor, reset, showSignIn } from "./gallery.js";
import { person, returned, root, signOut, token } from "./session.js";

// ------------------------------------------------------------------------------------------------------------- toolbar

const DAY = 24 * 60 * 60 * 1000;
const when = $("#when");
const between = $("#between");
const [from, to] = [$("#from"), $("#to")];

/** The first moment of a day, in the time of whoever looks, as the API writes it; `days` later where given. */
function startOf(date, days = 0) {
  const [year, month, day] = date.split("-").map(Number);
  return new Date(year, month - 1, day + days);
}

/** The API's bounds leave out the moment that they name. */
function bounds() {
  if (when.value === "any") return { createdAfter: null, createdBefore: null };
  if (when.value !== "between") return { createdAfter: new Date(Date.now() - when.value * DAY).toISOString(), createdBefore: null };
  return {
    createdAfter: from.value ? new Date(startOf(from.value) - 1).toISOString() : null,
    createdBefore: to.value ? startOf(to.value, 1).toISOString() : null,
  };
}

function changed() {
  between.hidden = when.value !== "between";
  to.min = from.value;
  from.max = to.value;
  lookFor(bounds());
}

when.addEventListener("change", changed);
between.addEventListener("change", changed);
$("#order").addEventListener("change", (event) => lookFor({ order: event.target.value }));
$("#find").addEventListener("input", (event) => filter(event.target.value));
$("#refresh").addEventListener("click", () => load({ afresh: true }));
$("#toolbar").addEventListener("submit", (event) => event.preventDefault());
$("#show-all").addEventListener("click", () => {
  $("#find").value = "";
  filter("");
  if (when.value !== "any") {
    when.value = "any";
    changed();
  }
  $("#find").focus();
});

// ---------------------------------------------------------------------------------------------------------- session

/** All that is not needed to show the items. */
let found;
const ways = new Promise((resolve) => (found = resolve));

for (const one of document.querySelectorAll("[data-do]")) {
  one.addEventListener("click", () => ways.then(({ actions }) => actions[one.dataset.do](), () => {}));
}

const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

// From the beginning: while the rest is on its way, the browser would open the file instead.
addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  const [files, target] = [[...event.dataTransfer.files], event.target];
  ways.then(({ take }) => take(files, target), () => {});
});

function showSession() {
  $("#account").hidden = !token();
  $("#person").textContent = person();
}

addEventListener("session", showSession);

$("#sign-out").addEventListener("click", async () => {
  await ways.then(({ finishDeleting }) => finishDeleting(), () => {}); // While it may still be done in this person's name.
  const left = signOut();
  reset();
  showSession();
  await left.catch(() => {}); // It is over here, whatever the issuer makes of it.
  load({ afresh: true });
});

/** Begins where the issuer's page sent somebody back to, with what they were typing when they left. */
async function begin() {
  let draft = null;
  try {
    draft = await returned();
    showSession();
    load();
  } catch (failure) {
    showSignIn(failure);
  }
  // Second, so that the items come first, and few files are asked for at once: each is a call of the function.
  found(import("./ways.js"));
  try {
    (await ways).begin(draft);
  } catch {
    task("The console is not complete").fail(new Problem({ message: "Part of it could not be loaded. Reload the page." }));
  }
}

// ------------------------------------------------------------------------------------------------------------ frame

function showLine() {
  $("#offline").hidden = navigator.onLine;
}

addEventListener("offline", showLine);
addEventListener("online", showLine);

/** "Just now" is true for less than a minute. */
setInterval(() => {
  for (const one of document.querySelectorAll("time")) one.textContent = relative(new Date(one.dateTime));
}, 30_000);

async function showStage() {
  const { data } = await call("GET", "health");
  $("#stage").textContent = data.stage;
  $("#stage").title = `Vitrine ${data.version}`;
  $("#stage").hidden = false;
}

// The page may have been opened without the slash at its end: then links of its own would miss the stage.
for (const link of document.querySelectorAll("a[data-to]")) link.href = new URL(link.dataset.to, root);

showLine();
showSession();
showStage().catch(() => {});
begin();
