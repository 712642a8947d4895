// Shows what others change, without a reload: asks for the number of the user's changes, and reads again what is shown
// if it has grown (decision 0061).

import { Problem, call } from "./api.js";
import { currentView } from "./dialog.js";
import { hasUnfinishedPicture } from "./gallery.js";
import { readItem } from "./item-store.js";
import { isListShown, refreshList } from "./list-loading.js";
import { canSignIn, token } from "./oidc-session.js";
import { retryDelay } from "./poll-and-retry.js";

const SHORTEST = 2000; // milliseconds between two requests, while the page is in use
const LONGEST = 60_000; // milliseconds
/** After two minutes without any input, requests become rarer: the pause is the time without input, divided by this. */
const IDLE_PARTS = 60;
/** While a picture is being made, the list is read this often, in milliseconds, even if the number has not grown. */
const UNFINISHED = 15_000;

/**
 * Return the pause before the next request, in milliseconds.
 * @param {number} idle milliseconds since the last input
 * @param {number} busy milliseconds that showing the last changes took: it must not be most of the time
 */
export const pauseAfter = (idle, busy) => Math.min(Math.max(SHORTEST, idle / IDLE_PARTS, busy * 4), LONGEST);

/** Asks for the number of changes while the page is visible, online and signed in. */
export class LiveUpdates {
  #actions;
  /** The entity tag of the last number. @type {string | null} */
  #etag = null;
  /** Whether the changes up to the last number are shown. */
  #isShown = true;
  #shownAt = performance.now();
  #usedAt = performance.now();
  #failures = 0;
  /** The token that the API has refused. @type {string | null} */
  #refused = null;
  #isAsking = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {LiveActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /** Call this when the user does something. If the pause is long, it ends. */
  use() {
    const now = performance.now();
    const wasIdle = pauseAfter(now - this.#usedAt, 0) > SHORTEST;
    this.#usedAt = now;
    if (wasIdle) this.check();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** Ask now, and then again and again, as long as the page is visible, online and signed in. */
  async check() {
    this.stop();
    if (this.#isAsking || !this.#canAsk()) return;
    this.#isAsking = true;
    const pause = await this.#ask();
    this.#isAsking = false;
    if (this.#canAsk()) this.#timer = setTimeout(() => this.check(), pause);
  }

  #canAsk() {
    const isSignedOut = canSignIn && !token();
    return !document.hidden && navigator.onLine && !isSignedOut && this.#refused !== token();
  }

  /** Ask once, and show what has changed. Return the pause until the next time, in milliseconds. */
  async #ask() {
    const begun = performance.now();
    let busy = 0;
    try {
      if (this.#actions.isReady()) await this.#readNumber();
      if (!this.#isShown || this.#isOverdue()) {
        this.#isShown = await this.#actions.show();
        this.#shownAt = performance.now();
        busy = this.#shownAt - begun;
      }
      this.#failures = 0;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.needsSignIn) this.#refused = token();
      this.#failures += 1;
      return retryDelay(problem, this.#failures);
    }
    return pauseAfter(performance.now() - this.#usedAt, busy);
  }

  #isOverdue() {
    return performance.now() - this.#shownAt > UNFINISHED && this.#actions.isUnfinished();
  }

  async #readNumber() {
    const options = this.#etag ? { headers: { "If-None-Match": this.#etag } } : {};
    const { data, etag } = await call("GET", "changes", options);
    if (!data) return;
    this.#isShown = false; // Also after the first number: the list was read before it.
    this.#etag = etag;
  }
}

/** Read the open item again, as it may not be in the list. */
async function refreshOpened() {
  const view = currentView();
  if (!view?.id) return;
  try {
    await readItem(view.id);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
    if (currentView() === view) view.onItemGone?.(problem);
  }
}

/** Start for this page. */
export function startLiveUpdates() {
  const show = async () => {
    await refreshOpened();
    return refreshList();
  };
  const live = new LiveUpdates({ isReady: isListShown, show, isUnfinished: hasUnfinishedPicture });
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "scroll"]) {
    addEventListener(name, () => live.use(), { passive: true, capture: true });
  }
  for (const name of ["focus", "online", "session"]) addEventListener(name, () => live.check());
  document.addEventListener("visibilitychange", () => (document.hidden ? live.stop() : live.check()));
  live.check();
}
