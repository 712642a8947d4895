// Calls that are repeated until they succeed or return a result.

import { Problem } from "./api.js";

/** The time limit of `poll` is reached. The result may still come. */
export class PollTimeout extends Problem {}

const MAX_RETRY_AFTER = 120; // seconds
const FIRST_DELAY = 500; // milliseconds
const MAX_DELAY = 5000; // milliseconds
const MAX_BACKOFF = 30000; // milliseconds
const OFFLINE_DELAY = 15000; // milliseconds

/**
 * Wait `ms` milliseconds, or less if the browser comes online or the signal aborts. Throw the signal's reason if it
 * aborts. If the browser is offline, wait at least OFFLINE_DELAY: an API on the same machine may still respond.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(end, navigator.onLine ? ms : Math.max(ms, OFFLINE_DELAY));
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

/**
 * Return the delay after a failure in milliseconds: what the API asks for, or exponential backoff; with jitter.
 * @param {Problem} problem
 * @param {number} failures directly before it
 */
export function retryDelay(problem, failures) {
  const requested = Math.min(problem.retryAfter, MAX_RETRY_AFTER) * 1000;
  return Math.max(requested, Math.min(1000 * 2 ** failures, MAX_BACKOFF)) * (1 + Math.random() / 5);
}

/**
 * Call `check` until it returns a value, and return that. Repeat it after temporary failures, throw others. Throw
 * PollTimeout after some time, which `check` may restart.
 * @template Result
 * @param {(restartTimeout: () => void) => Promise<Result | undefined>} check
 * @param {PollOptions} [options]
 * @returns {Promise<Result>}
 */
export async function poll(check, { signal, seconds = 300, minDelay = () => 0, onRetry } = {}) {
  let deadline = 0;
  const restartTimeout = () => (deadline = Date.now() + seconds * 1000);
  restartTimeout();
  for (let turn = 0, failures = 0, delay = FIRST_DELAY; ; turn += 1) {
    await wait(Math.max(delay, minDelay()), signal);
    try {
      const result = await check(restartTimeout);
      if (result !== undefined) return result;
      failures = 0;
      delay = Math.min(FIRST_DELAY * 1.3 ** turn, MAX_DELAY);
    } catch (problem) {
      delay = delayAfter(problem, failures, { signal, onRetry, isRetryable: (one) => one.isTemporary });
      failures += 1;
    }
    if (!navigator.onLine) restartTimeout();
    if (Date.now() > deadline) throw new PollTimeout({ message: "The result takes longer than usual." });
  }
}

const NO_PROGRESS_SECONDS = 600;

/**
 * Call `check` until it returns the result of a job of the server, which goes on without this page. `check` restarts
 * the timeout if there is progress. Throw Problem.
 * @template Result
 * @param {(restartTimeout: () => void) => Promise<Result | undefined>} check
 * @param {{signal: AbortSignal, onText: (text: string) => void, job: string, late: string}} options `late` tells what
 *   happens if there is no progress for long
 * @returns {Promise<Result>}
 */
export async function pollJob(check, { signal, onText, job, late }) {
  const onRetry = (/** @type {string} */ text) =>
    onText(navigator.onLine ? text : `Offline, the ${job} continues on the server`);
  try {
    return await poll(check, { signal, seconds: NO_PROGRESS_SECONDS, onRetry });
  } catch (problem) {
    if (!(problem instanceof PollTimeout)) throw problem;
    throw new PollTimeout({ message: `No progress for ten minutes. ${late}` });
  }
}

/** @param {Problem} problem */
const isTooEarly = (problem) => problem.status === 429 || (problem.status === 0 && !navigator.onLine);

/**
 * Repeat `action` as long as the browser is offline or the API has too many requests.
 * @template Result
 * @param {() => Promise<Result>} action
 * @param {PollOptions} [options]
 * @returns {Promise<Result>}
 */
export async function retry(action, { signal, onRetry } = {}) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await action();
    } catch (problem) {
      await wait(delayAfter(problem, failures, { signal, onRetry, isRetryable: isTooEarly }), signal);
    }
  }
}

/**
 * Return the delay after a failure, or throw it.
 * @param {unknown} problem
 * @param {number} failures
 * @param {PollOptions & {isRetryable: (problem: Problem) => boolean}} options
 */
function delayAfter(problem, failures, { signal, onRetry, isRetryable }) {
  signal?.throwIfAborted();
  if (!(problem instanceof Problem && isRetryable(problem))) throw problem;
  onRetry?.(retryText(problem));
  return retryDelay(problem, failures);
}

/** @param {Problem} problem */
function retryText({ status }) {
  if (!navigator.onLine) return "Offline, continues when you are online";
  return status === 429 ? "Too many requests, retrying" : "The server does not respond, retrying";
}
