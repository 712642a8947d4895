// Calls that are repeated until they succeed, or until a picture has its thumbnails.

import { Problem, call, itemPath } from "./api.js";
import { thumbnailPaths, warningOf } from "./item-card.js";
import { readItem, storeItem } from "./item-store.js";

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

// ------------------------------------------------------------------------------------------------------------ pictures

let watched = 0;
/** Each of many pictures is asked for less often. */
const minDelay = () => watched * 100;

const REMOVED_AFTER = 15000; // milliseconds in which an upload is recorded, even if its event is late

/**
 * Wait for an upload's result. Throw Problem.
 * @param {string} id
 * @param {SentUpload} upload
 * @param {{signal: AbortSignal, onText: (text: string) => void}} options
 * @returns {Promise<UploadResult>}
 */
export async function waitForThumbnails(id, upload, { signal, onText }) {
  const observer = new UploadObserver(upload);
  let lastVersion = upload.before.version;
  const check = async () => {
    const { data: item, etag } = await call("GET", itemPath(id), { signal });
    onText("Processing");
    if (item.version > lastVersion) storeItem(item, etag);
    lastVersion = item.version;
    return observer.resultIn(item);
  };
  watched += 1;
  try {
    return await poll(check, { signal, minDelay, onRetry: onText });
  } catch (problem) {
    if (!(problem instanceof PollTimeout)) throw problem;
    throw new PollTimeout({ message: "The picture is uploaded. Processing takes longer than usual." });
  } finally {
    watched -= 1;
  }
}

/** Finds an upload's result in the item's states, which it gets one after the other. */
export class UploadObserver {
  #upload;
  #isRecorded = false;
  /** @type {number | null} */
  #missingSince = null;

  /** @param {SentUpload} upload */
  constructor(upload) {
    this.#upload = upload;
  }

  /** Return the result when it is known. @param {Item} item @returns {UploadResult | undefined} */
  resultIn({ version, image }) {
    if (!image) return this.#resultOfMissing();
    this.#missingSince = null;
    this.#isRecorded ||= image.status === "processing";
    if (image.status === "ready") return resultOfReady(image, this.#upload.uploadId);
    if (image.status !== "failed" || !this.#isOwnFailure(version)) return undefined;
    return { state: "failed", problem: new Problem(image.error ?? { message: "The picture could not be read." }) };
  }

  /** The picture was removed, or the upload is not recorded yet. @returns {UploadResult | undefined} */
  #resultOfMissing() {
    this.#missingSince ??= Date.now();
    const isRemoved = this.#isRecorded || Date.now() - this.#missingSince > REMOVED_AFTER;
    return isRemoved ? { state: "stopped", text: "The picture was removed" } : undefined;
  }

  /** An error names no upload. Recording an upload and failing it each increase the version. @param {number} version */
  #isOwnFailure(version) {
    const { before } = this.#upload;
    const isNew = this.#isRecorded || before.image?.status !== "failed" || version >= before.version + 2;
    return isNew && version > before.version;
  }
}

/**
 * Until an upload is recorded, the item has its previous picture. Ids of uploads sort by time.
 * @param {ItemImage} image
 * @param {string} uploadId
 * @returns {UploadResult | undefined}
 */
function resultOfReady(image, uploadId) {
  const shownId = new URL(image.url).pathname.split("/").pop() ?? "";
  if (shownId === uploadId) {
    return { state: "ready", text: warningOf(image) || "Ready", thumbnail: image.thumbnails?.[0]?.url };
  }
  return shownId > uploadId ? { state: "stopped", text: "Replaced by another picture" } : undefined;
}

const MAX_RENDERING = 60; // seconds

/**
 * Store an item's states until its thumbnails were made again, as after a change of the focus.
 * @param {Item} before
 */
export async function followThumbnails({ id, image }) {
  const paths = thumbnailPaths(image);
  const check = async () => {
    const { item } = await readItem(id);
    return item.image?.status !== "ready" || thumbnailPaths(item.image) !== paths || undefined;
  };
  try {
    await poll(check, { seconds: MAX_RENDERING });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}
