// Waits until a picture has its thumbnails, after an upload or a change of its focus.

import { Problem, call, itemPath } from "./api.js";
import { thumbnailPaths, warningOf } from "./item-card-and-row.js";
import { readItem, storeItem } from "./item-store.js";
import { PollTimeout, poll } from "./poll-and-retry.js";

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
