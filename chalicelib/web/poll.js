// Waiting for what the API does in its own time: patient with a line that breaks, and with an API that is busy.

import { Problem } from "./api.js";

/** It has not happened in the time that it should take; it still may. */
export class Overdue extends Problem {}

const LONGEST = 120; // seconds that a Retry-After is heeded

/**
 * Waits, in milliseconds; being online again ends the wait early. A browser that calls itself offline gets at least 15
 * seconds: it may still reach an API on the same machine. Throws the signal's reason where that ends the wait.
 */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(end, navigator.onLine ? ms : Math.max(ms, 15000));
    function end() {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal?.removeEventListener("abort", end);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
    addEventListener("online", end);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

/** How long to wait after that many failures in a row, in milliseconds: twice as long each time, and not all at once. */
function backoff(problem, failures) {
  const asked = Math.min(problem.retryAfter, LONGEST) * 1000;
  return Math.max(asked, Math.min(1000 * 2 ** failures, 30000)) * (1 + Math.random() / 5);
}

/**
 * Looks again and again, until `look()` gives something; undefined is "not yet". Failures that may pass are waited out,
 * and told to `trouble(problem)`; any other is thrown. Throws Overdue when nothing has come for `seconds`: a time in which
 * the browser was offline does not count, and `look` may start it anew by calling what it is given. `floor()` is the
 * shortest wait between two looks, in milliseconds; the longest is five seconds where that is not longer.
 */
export async function poll(look, { signal, seconds = 300, floor = () => 0, trouble = () => {} } = {}) {
  let end;
  const anew = () => (end = Date.now() + seconds * 1000);
  anew();
  for (let turn = 0, failures = 0, wait = 500; ; turn += 1) {
    await pause(Math.max(wait, floor()), signal);
    try {
      const found = await look(anew);
      if (found !== undefined) return found;
      failures = 0;
      wait = Math.min(500 * 1.3 ** turn, 5000);
    } catch (problem) {
      signal?.throwIfAborted();
      if (!(problem instanceof Problem && problem.passing)) throw problem;
      trouble(problem);
      wait = backoff(problem, failures);
      failures += 1;
    }
    if (!navigator.onLine) anew();
    if (Date.now() > end) throw new Overdue({ message: "It takes longer than usual." });
  }
}

/** What is said while a problem is waited out. */
export function waitingWords({ status }) {
  if (!navigator.onLine) return "You are offline: it goes on when you are back";
  return status === 429 ? "Waiting: many requests at once" : "The API does not answer: asking again";
}

const tooEarly = (problem) => problem.status === 429 || (problem.status === 0 && !navigator.onLine);

/**
 * Does something that may be done more than once, again as long as it comes `early`: by itself, when the browser is
 * offline or the API has too many requests (429). `trouble(problem)` hears of each wait.
 */
export async function whenPossible(action, { signal, early = tooEarly, trouble = () => {} } = {}) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await action();
    } catch (problem) {
      signal?.throwIfAborted();
      if (!(problem instanceof Problem && early(problem))) throw problem;
      trouble(problem);
      await pause(backoff(problem, failures), signal);
    }
  }
}
