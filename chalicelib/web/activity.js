// The activity panel: uploads and imports on their way, in one place that folds up.

import { $, announce, button, h, plural, problemBox } from "./dom.js";
import { canSignIn, setToken, signIn } from "./session.js";

const LINGER = 4000; // milliseconds that what has ended well stays to be seen
const QUIET = 10000; // milliseconds between two spoken updates, but for the last

/** All that came since the panel was empty, oldest first: also what has left the list, which still counts. */
let entries = [];

// ------------------------------------------------------------------------------------------------------------ panel

const list = h("ul", { id: "activity-list" });
const sum = h("span", { class: "sum" });
const fold = h("button", { type: "button", class: "fold", "aria-controls": list.id, onclick: () => folded(!list.hidden) }, sum);
const clear = button("×", () => leave(), { class: "quiet", "aria-label": "Clear the list" });
const overall = h("progress", { max: 1, "aria-label": "All together" });
const retryAll = button("Retry all", () => each("again"));
const cancelAll = button("Cancel all", () => each("cancel"));
// Either hides itself, and must not take the focus along.
for (const one of [retryAll, cancelAll]) one.addEventListener("click", () => fold.focus());
const actions = h("div", { class: "row" }, retryAll, cancelAll);
const door = h("div", { class: "door" });
const panel = h("section", { class: "activity", "aria-label": "Uploads and imports", hidden: true },
  h("div", { class: "bar" }, fold, clear), overall, door, list, actions);

function folded(now) {
  list.hidden = now;
  fold.setAttribute("aria-expanded", String(!now));
  show();
}

const able = (what) => entries.filter((one) => one[what]);
const each = (what) => able(what).forEach((one) => one[what]());
const count = (kind, ...states) => entries.filter((one) => one.kind === kind && states.includes(one.state)).length;
const over = () => entries.every((one) => one.state !== "running");
const failing = () => entries.some((one) => one.state === "failed");

/** How far the pictures are: what goes well, and what does not. */
function pictures() {
  const [ready, running, failed] = ["done", "running", "failed"].map((state) => count("picture", state));
  const total = ready + running + failed;
  const well = running > 0 ? total > 1 && `${ready} of ${plural(total, "picture")}` : ready > 0 && `${plural(ready, "picture")} ready`;
  return [well || (running > 0 && "1 picture on its way"), failed > 0 && (well ? `${failed} failed` : `${plural(failed, "picture")} failed`)];
}

/** How far the imports are; one that came to its end has failed in parts at most. */
function imports() {
  const [running, done] = [count("import", "running"), count("import", "done")];
  const failed = entries.filter((one) => one.kind === "import" && one.state === "failed");
  const partly = failed.filter((one) => one.parts > 0);
  const parts = partly.reduce((total, one) => total + one.parts, 0);
  const ended = done + partly.length;
  return [
    running > 0 ? `${plural(running, "import")} running` : ended > 0 && `${plural(ended, "import")} done`,
    parts > 0 && `${plural(parts, "item")} failed`,
    failed.length > partly.length && `${plural(failed.length - partly.length, "import")} failed`,
  ];
}

function show() {
  const counted = entries.filter((one) => one.state !== "stopped");
  const parts = [...pictures(), ...imports()].filter(Boolean);
  sum.replaceChildren(...parts.flatMap((part, place) => [
    place > 0 ? " · " : "", part.endsWith("failed") ? h("span", { class: "wrong" }, part) : part,
  ]));
  if (parts.length === 0) sum.textContent = "Nothing is running";
  panel.hidden = entries.length === 0;
  clear.hidden = !over();
  overall.hidden = over() || (counted.length < 2 && !list.hidden);
  overall.value = counted.reduce((total, one) => total + one.share, 0) / counted.length || 0;
  retryAll.hidden = able("again").length < 2;
  cancelAll.hidden = able("cancel").length < 2;
  actions.hidden = list.hidden || (retryAll.hidden && cancelAll.hidden);
  showDoor();
}

folded(matchMedia("(max-width: 40rem)").matches); // On a phone it would lie over what it is about.

/** Where a session ended under an upload, a way back in: files wait here, and are lost when the page is left. */
function showDoor() {
  const shut = entries.some((one) => one.shut);
  if (shut === door.hasChildNodes()) return;
  door.replaceChildren(...(!shut ? [] : canSignIn ? signInRow() : [tokenRow()]));
}

function signInRow() {
  const go = () => signIn().catch((failure) => door.append(problemBox(failure)));
  return [h("p", {}, "Your session is over. Signing in leaves this page: choose these files again afterwards."), button("Sign in", go)];
}

function tokenRow() {
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: false });
  const submit = (event) => {
    event.preventDefault();
    setToken(input.value);
    entries.filter((one) => one.shut).forEach((one) => one.again());
    fold.focus();
  };
  return h("form", { onsubmit: submit }, h("label", {}, "Your token was not accepted. Another one:", input), h("button", {}, "Use it and go on"));
}

let spoken = 0;
let speaking;

/** Tells those who do not see the panel how far all of it is: now and then while it runs, and at its end. */
function speak() {
  clearTimeout(speaking);
  const say = () => {
    spoken = Date.now();
    announce(entries.length === 1 ? `${entries[0].title}: ${entries[0].words.textContent}` : sum.textContent);
  };
  if (over()) say();
  else speaking = setTimeout(say, Math.max(0, spoken + QUIET - Date.now()));
}

// ---------------------------------------------------------------------------------------------------- coming, going

let before = null; // what had the focus before it came in here
panel.addEventListener("focusin", ({ relatedTarget }) => {
  if (relatedTarget && !panel.contains(relatedTarget)) before = relatedTarget;
});

/** Takes something out of the panel, and the focus that it may have had to where it makes sense. */
function without(element, next) {
  const held = element.contains(document.activeElement);
  if (element === panel) panel.hidden = true;
  else element.remove();
  if (held) next.focus();
}

/** Empties the panel. */
function leave() {
  for (const { element } of entries) element.remove();
  entries = [];
  without(panel, before?.isConnected ? before : $("dialog[open] .close") ?? $("header a"));
  show();
}

/** Ends what can be ended, and empties the panel: whoever comes next is not to see it. */
export function forgetAll() {
  each("cancel");
  leave();
}

/** What has ended well leaves by itself: there is nothing to be done about it. An empty panel goes after it. */
function linger(entry) {
  setTimeout(() => {
    if (!entries.includes(entry)) return;
    entry.element.remove();
    if (list.children.length === 0 && over()) leave();
  }, LINGER);
}

// Only uploads that have not arrived are lost by leaving: what is in the bucket is rendered whoever looks on.
addEventListener("beforeunload", (event) => able("cancel").length > 0 && event.preventDefault());

// ---------------------------------------------------------------------------------------------------------- entries

/**
 * Opens an entry of the panel: `kind` is "picture" or "import", `cancel()` breaks it off. What it gives: `say(text)`;
 * `progress(share)`, 0 to 1, or null for not known; `sent()`, from when on nothing is lost by leaving and nothing can be
 * cancelled; and how it ends: `done(text)`, `stop(text)` where nothing went wrong either, or
 * `fail(problem, {label, again, parts, extra})`, which stays, and offers `again()` under that label; where it came to its
 * end all the same, `parts` is how many of it failed.
 */
export function activity(title, { kind, cancel }) {
  const bar = h("progress", { max: 1, "aria-label": title });
  const words = h("div", { class: "words" });
  const stopper = button("×", () => (entry.cancel ? entry.cancel() : dismiss()), { class: "quiet" });
  const element = h("li", {}, h("strong", { title }, title), words, stopper, bar);
  const entry = { title, kind, words, element };

  function set(state, more) {
    const held = element.contains(document.activeElement);
    Object.assign(entry, { state, share: state === "running" ? 0 : 1, parts: 0, cancel: undefined, again: undefined, shut: false }, more);
    bar.hidden = state !== "running";
    stopper.hidden = state !== "failed" && !entry.cancel;
    stopper.setAttribute("aria-label", `${entry.cancel ? "Cancel" : "Dismiss"} ${title}`);
    element.className = state;
    if (held) (stopper.hidden ? fold : stopper).focus();
    show();
    if (state !== "running") speak();
  }

  function end(state, text) {
    words.replaceChildren(text);
    set(state);
    linger(entry);
  }

  function dismiss() {
    entries = entries.filter((one) => one !== entry);
    without(element, list.querySelector("button") ?? fold);
    if (over() && !failing()) leave();
    else show();
  }

  function run() {
    set("running", { cancel });
    words.replaceChildren("Waiting its turn");
    bar.value = 0;
  }

  function fail(problem, { label, again, parts = 0, extra } = {}) {
    const retry = again && (() => {
      run();
      again();
    });
    const box = problemBox(problem, ...(retry ? [button(label, retry, { "aria-label": `${label}: ${title}` })] : []));
    // One alert is heard; a hundred at once are noise. How many they are is said with the rest.
    if (panel.querySelector("[role=alert]")) box.removeAttribute("role");
    words.replaceChildren(box, extra ?? "");
    set("failed", { parts, again: retry, shut: Boolean(retry && problem.signIn) });
  }

  entries.push(entry);
  list.append(element);
  if (!panel.isConnected) $("#tray").append(panel);
  run();
  return {
    say: (text) => words.replaceChildren(text),
    progress(share) {
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      entry.share = share ?? entry.share;
      show();
    },
    sent() {
      set("running", { share: 0.9 });
      bar.removeAttribute("value");
    },
    done: (text) => end("done", text),
    stop: (text) => end("stopped", text),
    fail,
  };
}
