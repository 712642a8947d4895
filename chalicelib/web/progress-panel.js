// The panel that shows the progress of uploads, imports and exports.

import { Problem } from "./api.js";
import { $, announce, button, h, plural, problemBox } from "./dom.js";
import { canSignIn, setToken, signIn, token } from "./oidc-session.js";
import { tokenInput } from "./sign-in-box.js";

const SHOW_ENDED = 4000; // milliseconds that entries without an error stay after the end of all
const ANNOUNCE_EVERY = 10000; // milliseconds

/** All transfers since the panel was last empty, oldest first, also those no longer listed. @type {Transfer[]} */
let entries = [];

// -------------------------------------------------------------------------------------------------------------- panel

const list = h("ul", { id: "progress-list" });
const summary = h("span", { class: "summary" });
const toggle = h("button", {
  type: "button", class: "toggle", "aria-controls": list.id, onclick: () => setFolded(!list.hidden),
}, summary);
const clearButton = button("×", () => clearPanel(), { class: "quiet", "aria-label": "Clear the list" });
const total = h("progress", { max: 1, "aria-label": "Total progress" });
const retryAll = bulkButton("Retry all", () => retryable().forEach((entry) => entry.retry?.()));
const cancelAll = bulkButton("Cancel all", () => cancellable().forEach((entry) => entry.cancel?.()));
const bulkActions = h("div", { class: "row" }, retryAll, cancelAll);
const signInRow = h("div", { class: "session-expired" });
const panel = h("section", { class: "progress-panel", "aria-label": "Uploads, imports and exports", hidden: true },
  h("div", { class: "bar" }, toggle, clearButton), total, signInRow, list, bulkActions);

/**
 * Return a button that moves the focus to the toggle, because it may hide itself.
 * @param {string} label
 * @param {() => void} action
 */
function bulkButton(label, action) {
  return button(label, () => {
    action();
    toggle.focus();
  });
}

/** @param {boolean} isFolded */
function setFolded(isFolded) {
  list.hidden = isFolded;
  toggle.setAttribute("aria-expanded", String(!isFolded));
  update();
}

const cancellable = () => entries.filter((entry) => entry.cancel);
const retryable = () => entries.filter((entry) => entry.retry);
const allEnded = () => entries.every((entry) => entry.state !== "running");

function update() {
  const parts = summaryParts(entries);
  summary.replaceChildren(...parts.flatMap((part, index) => [
    index > 0 ? " · " : "", part.endsWith("failed") ? h("span", { class: "failed-count" }, part) : part,
  ]));
  if (parts.length === 0) summary.textContent = "No uploads, imports or exports";
  panel.hidden = entries.length === 0;
  clearButton.hidden = !allEnded();
  updateTotal();
  retryAll.hidden = retryable().length < 2;
  cancelAll.hidden = cancellable().length < 2;
  bulkActions.hidden = list.hidden || (retryAll.hidden && cancelAll.hidden);
  updateSignIn();
}

function updateTotal() {
  const counted = entries.filter((entry) => entry.state !== "stopped");
  total.hidden = allEnded() || (counted.length < 2 && !list.hidden);
  total.value = counted.reduce((sum, entry) => sum + entry.share, 0) / counted.length || 0;
}

/**
 * Return how many pictures, imports and exports are ready, running and failed.
 * @param {{kind: string, state: string, failedItems: number}[]} all
 * @returns {string[]}
 */
export function summaryParts(all) {
  const of = (/** @type {string} */ kind) => all.filter((one) => one.kind === kind);
  return [...pictureParts(of("picture")), ...importParts(of("import")), ...exportParts(of("export"))];
}

/** @param {{state: string}[]} exports */
function exportParts(exports) {
  const parts = Object.entries({ running: "running", done: "ready", failed: "failed" })
    .map(([state, word]) => ({ count: countOf(exports, state), word }));
  return parts.filter(({ count }) => count > 0).map(({ count, word }) => `${plural(count, "export")} ${word}`);
}

/** @param {{state: string}[]} pictures */
function pictureParts(pictures) {
  const [ready, running, failed] = ["done", "running", "failed"].map((state) => countOf(pictures, state));
  const sum = ready + running + failed;
  const parts = [];
  if (running > 0) parts.push(sum === 1 ? "Uploading 1 picture" : `${ready} of ${plural(sum, "picture")} ready`);
  else if (ready > 0) parts.push(`${plural(ready, "picture")} ready`);
  if (failed > 0) parts.push(parts.length > 0 ? `${failed} failed` : `${plural(failed, "picture")} failed`);
  return parts;
}

/** An import may fail in part. @param {{state: string, failedItems: number}[]} imports */
function importParts(imports) {
  const running = countOf(imports, "running");
  const partlyFailed = imports.filter((one) => one.state === "failed" && one.failedItems > 0);
  const failedItems = partlyFailed.reduce((sum, one) => sum + one.failedItems, 0);
  const done = countOf(imports, "done") + partlyFailed.length;
  const failed = countOf(imports, "failed") - partlyFailed.length;
  const parts = [];
  if (running > 0) parts.push(`${plural(running, "import")} running`);
  else if (done > 0) parts.push(`${plural(done, "import")} done`);
  if (failedItems > 0) parts.push(`${plural(failedItems, "item")} failed`);
  if (failed > 0) parts.push(`${plural(failed, "import")} failed`);
  return parts;
}

/** @param {{state: string}[]} all @param {string} state */
const countOf = (all, state) => all.filter((one) => one.state === state).length;

setFolded(matchMedia("(max-width: 40rem)").matches); // On a phone, the list would cover the gallery.

/** Show the entries, which a phone does not show at first. */
export const unfoldPanel = () => setFolded(false);

// --------------------------------------------------------------------------------------------------- sign-in, announce

/** Offer to sign in if an upload or import needs it. */
function updateSignIn() {
  const isNeeded = entries.some((entry) => entry.needsSignIn);
  if (isNeeded === signInRow.hasChildNodes()) return;
  signInRow.replaceChildren(...(!isNeeded ? [] : canSignIn ? signInOffer() : [panelTokenForm()]));
}

function signInOffer() {
  const start = () => signIn().catch((failure) => signInRow.append(problemBox(failure)));
  const text = "Your session has expired. Signing in leaves this page, so choose these files again afterwards.";
  return [h("p", {}, text), button("Sign in", start)];
}

function panelTokenForm() {
  const { label, input } = tokenInput("Your token was not accepted. Enter a new one:");
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    setToken(input.value);
    entries.filter((entry) => entry.needsSignIn).forEach((entry) => entry.retry?.());
    toggle.focus();
  };
  return h("form", { onsubmit }, label, h("button", {}, "Use token and try again"));
}

let announcedAt = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let announceTimer;

/** Announce the progress every ANNOUNCE_EVERY milliseconds, and the end at once. */
function announceProgress() {
  clearTimeout(announceTimer);
  const say = () => {
    announcedAt = Date.now();
    const text = entries.length === 1 ? `${entries[0].title}: ${entries[0].text.textContent}` : summary.textContent;
    announce(text ?? "");
  };
  if (allEnded()) say();
  else announceTimer = setTimeout(say, Math.max(0, announcedAt + ANNOUNCE_EVERY - Date.now()));
}

// ------------------------------------------------------------------------------------------------------------- removal

/** The element focused before the panel was. @type {HTMLElement | null} */
let focusedBefore = null;
panel.addEventListener("focusin", ({ relatedTarget }) => {
  const from = /** @type {HTMLElement | null} */ (relatedTarget);
  if (from && !panel.contains(from)) focusedBefore = from;
});

/** Remove an element, and move its focus to `next`. @param {HTMLElement} element @param {HTMLElement} next */
function removeElement(element, next) {
  const hasFocus = element.contains(document.activeElement);
  if (element === panel) panel.hidden = true;
  else element.remove();
  if (hasFocus) next.focus();
}

function clearPanel() {
  const cleared = entries;
  entries = [];
  for (const entry of cleared) entry.remove();
  removeElement(panel, focusedBefore?.isConnected ? focusedBefore : $("dialog[open] .close") ?? $("header a"));
  update();
}

// The next user must not see this user's uploads.
addEventListener("session", () => {
  if (token()) return;
  cancellable().forEach((entry) => entry.cancel?.());
  clearPanel();
});

addEventListener("beforeunload", (event) => cancellable().length > 0 && event.preventDefault());

/** @type {ReturnType<typeof setTimeout> | undefined} */
let removalTimer;

/** Some seconds after all have ended, remove the entries that need not stay. Earlier, that would move other rows. */
function removeEndedLater() {
  clearTimeout(removalTimer);
  const hasEnded = allEnded() && entries.some((entry) => !entry.stays);
  if (hasEnded) removalTimer = setTimeout(removeEnded, SHOW_ENDED);
}

function removeEnded() {
  if (!allEnded()) return;
  if (!entries.some((entry) => entry.stays)) clearPanel();
  else if (list.matches(":hover")) removeEndedLater();
  else entries.filter((entry) => !entry.stays).forEach((entry) => entry.remove());
}

// ------------------------------------------------------------------------------------------------------------- entries

/** @type {WeakMap<Element, Transfer>} */
const entryOf = new WeakMap();
const visibility = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) if (isIntersecting) entryOf.get(target)?.onVisible();
}, { root: list, rootMargin: "200px" });

/** An upload, an import or an export, and its entry in the panel. A subclass does the work in `attempt`. */
export class Transfer {
  /** @type {"running" | "done" | "stopped" | "failed"} */
  state = "running";
  /** Between 0 and 1. */
  share = 0;
  failedItems = 0;
  needsSignIn = false;
  /** @type {(() => void) | undefined} */
  cancel;
  /** @type {(() => void) | undefined} */
  retry;
  #stopper = new AbortController();

  /** @param {string} title @param {"picture" | "import" | "export"} kind */
  constructor(title, kind) {
    this.title = title;
    this.kind = kind;
    this.text = h("div", { class: "message" });
    this.bar = h("progress", { max: 1, "aria-label": title });
    this.closeButton = button("×", () => (this.cancel ?? this.dismiss).call(this), { class: "quiet" });
    this.thumbnail = h("span", { class: `thumbnail ${kind}`, "aria-hidden": "true" });
    this.element = h("li", {}, this.thumbnail, h("strong", { title }, title), this.text, this.closeButton, this.bar);
    entries.push(this);
    list.append(this.element);
    entryOf.set(this.element, this);
    visibility.observe(this.element);
    if (!panel.isConnected) $("#tray").append(panel);
  }

  /** Do what is not done yet. Throw Problem. @returns {Promise<void>} */
  async attempt() {}

  get retryLabel() {
    return "Try again";
  }

  /** Whether the entry stays until the user dismisses it. */
  get stays() {
    return this.state === "failed";
  }

  /** @param {ApiProblem} problem */
  isRetryable(problem) {
    return problem.isTemporary || problem.needsSignIn;
  }

  /** Called when the entry comes into view. */
  onVisible() {}

  /** Free what the entry holds. Called when it leaves the panel. */
  dispose() {}

  get signal() {
    return this.#stopper.signal;
  }

  /** @param {string} reason */
  stop(reason) {
    this.#stopper.abort(new Error(reason));
  }

  async run() {
    this.#setState("running", { share: 0, cancel: () => this.stop("Cancelled") });
    this.setText("Waiting");
    this.bar.value = 0;
    try {
      await this.attempt();
    } catch (problem) {
      if (this.signal.aborted) this.end("stopped", this.signal.reason.message);
      else this.#showFailure(problem);
    }
  }

  /** @param {unknown} problem */
  #showFailure(problem) {
    if (!(problem instanceof Problem)) {
      this.fail(new Problem({ message: "Something went wrong. Reload the page and try again." }));
      throw problem;
    }
    this.fail(problem, { retry: this.isRetryable(problem) ? () => this.run() : undefined });
  }

  /** @param {string} text */
  setText(text) {
    this.text.replaceChildren(text);
  }

  /** @param {string} url */
  async setThumbnail(url) {
    const image = h("img", { src: url, alt: "" });
    await image.decode().then(() => this.thumbnail.replaceChildren(image), () => {}); // The last one stays until then.
  }

  /** @param {number | null} share between 0 and 1; null if unknown */
  setProgress(share) {
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
    this.share = share ?? this.share;
    update();
  }

  /** Everything is sent: leaving the page loses nothing, and it cannot be cancelled. */
  markSent() {
    this.#setState("running", { share: 0.9 });
    this.bar.removeAttribute("value");
  }

  /**
   * End without an error. A stopped transfer is not counted in the summary.
   * @param {"done" | "stopped"} state
   * @param {string} text
   */
  end(state, text) {
    this.setText(text);
    this.#setState(state, { share: 1 });
    removeEndedLater();
  }

  /**
   * End with an error, which stays until the user dismisses it.
   * @param {Problem} problem
   * @param {{retry?: () => void, failedItems?: number, extra?: Node}} [options]
   */
  fail(problem, { retry, failedItems = 0, extra } = {}) {
    this.retry = retry;
    const box = problemBox(problem, ...this.failureButtons());
    // The first error is an alert. The summary counts the others.
    if (panel.querySelector("[role=alert]")) box.removeAttribute("role");
    this.text.replaceChildren(box, extra ?? "");
    this.#setState("failed", { share: 1, retry, failedItems, needsSignIn: Boolean(retry && problem.needsSignIn) });
    removeEndedLater();
  }

  /** Return buttons for what the user can do about a failure. */
  failureButtons() {
    const label = this.retryLabel;
    return this.retry ? [button(label, this.retry, { "aria-label": `${label}: ${this.title}` })] : [];
  }

  /** @param {Transfer["state"]} state @param {Partial<Transfer>} changes */
  #setState(state, { share, cancel, retry, failedItems = 0, needsSignIn = false }) {
    const hasFocus = this.element.contains(document.activeElement);
    Object.assign(this, { state, share, cancel, retry, failedItems, needsSignIn });
    this.bar.hidden = state !== "running";
    this.closeButton.hidden = !this.stays && !cancel;
    this.closeButton.setAttribute("aria-label", `${cancel ? "Cancel" : "Dismiss"} ${this.title}`);
    this.element.className = state;
    if (hasFocus) (this.closeButton.hidden ? toggle : this.closeButton).focus();
    update();
    if (state !== "running") announceProgress();
  }

  dismiss() {
    entries = entries.filter((entry) => entry !== this);
    this.remove();
    if (allEnded() && !entries.some((entry) => entry.stays)) clearPanel();
    else update();
  }

  /** Remove the entry from the list, but not from the summary. */
  remove() {
    removeElement(this.element, list.querySelector("button") ?? toggle);
    visibility.unobserve(this.element);
    this.dispose();
  }
}
