// Uploads of pictures, some at once, with their previews.

import { Problem, call, itemPath } from "./api.js";
import { button, formatBytes, h, pickFiles } from "./dom.js";
import { readItem } from "./item-store.js";
import { PICTURE_TYPES, pictureType, sizeProblem, typeProblem } from "./picture-types.js";
import { retry } from "./poll-and-retry.js";
import { Transfer } from "./progress-panel.js";
import { waitForThumbnails } from "./thumbnail-wait.js";
import { hideUpload, showUpload } from "./upload-preview.js";

/** Runs at most so many actions at once. The others wait in their order. */
export class Slots {
  #free;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * Run an action when a slot is free, and return its result. Throw the signal's reason if it aborts before that.
   * @template Result
   * @param {() => Promise<Result>} action
   * @param {AbortSignal} signal
   * @returns {Promise<Result>}
   */
  async run(action, signal) {
    if (this.#free > 0) this.#free -= 1;
    else await this.#nextSlot(signal);
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  /** @param {AbortSignal} signal @returns {Promise<void>} */
  #nextSlot(signal) {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => {
        const index = this.#waiting.indexOf(resolve);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(signal.reason);
      });
    });
  }
}

const WIDTH = 800; // pixels, as of the thumbnail that replaces it
const decodingSlots = new Slots(2); // While it is decoded, a photograph takes 50 to 200 MB.

/**
 * Return the URL of a small copy of a picture, or null if the browser cannot decode it. The caller revokes the URL.
 * @param {File} file
 * @param {AbortSignal} signal
 * @returns {Promise<string | null>}
 */
export async function createPreview(file, signal) {
  try {
    const copy = await decodingSlots.run(() => smallCopy(file), signal);
    return copy && URL.createObjectURL(copy);
  } catch {
    return null;
  }
}

/** Return a JPEG on white, as thumbnails are. @param {File} file @returns {Promise<Blob | null>} */
async function smallCopy(file) {
  const bitmap = await createImageBitmap(file, { resizeWidth: WIDTH, resizeQuality: "medium" });
  const { width, height } = bitmap;
  const canvas = h("canvas", { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
}

// ------------------------------------------------------------------------------------------------------------- uploads

const uploadSlots = new Slots(3);

/** The last upload to each item, until it is ready or dismissed. A newer one cancels it. @type {Map<string, Upload>} */
const lastUploads = new Map();

/** The bucket refused the upload. With a new ticket it may succeed. */
const REFUSED = "UPLOAD_REFUSED";
/** The thumbnails of a picture failed several times. Uploaded again, it may succeed. */
const LOST = "IMAGE_LOST";

/**
 * Upload a picture, and show its progress until its thumbnails are ready.
 * @param {File} file
 * @param {() => Promise<string>} getItemId may create the item; repeated after a failure
 */
export function uploadPicture(file, getItemId) {
  const replaceBy = (/** @type {File[]} */ [other]) => uploadPicture(other, getItemId);
  if (pictureType(file)) new Upload(file, getItemId, replaceBy).run();
  else reportRefused(file, replaceBy);
}

/**
 * Show why a file is not uploaded, and offer to choose another.
 * @param {File} file
 * @param {(files: File[]) => void} replaceBy
 */
export const reportRefused = (file, replaceBy) =>
  new Upload(file, async () => "", replaceBy).fail(/** @type {Problem} */ (typeProblem(file)));

class Upload extends Transfer {
  id = "";
  /** @type {SentUpload | null} */
  sent = null;
  /** @type {string | null} */
  #previewUrl = null;
  #hasPreview = false;
  #isDisposed = false;
  /** @type {{text: string, state: "processing" | "failed", problem?: Problem}} */
  #shown = { text: "", state: "processing" };

  /** @param {File} file @param {() => Promise<string>} getItemId @param {(files: File[]) => void} replaceBy */
  constructor(file, getItemId, replaceBy) {
    super(file.name || "Pasted picture", "picture");
    this.file = file;
    this.getItemId = getItemId;
    this.replaceBy = replaceBy;
    this.type = pictureType(file);
  }

  // ------------------------------------------------------------------------------------------------- shown in the page

  onVisible() {
    this.#addPreview();
  }

  /** @param {string} text */
  setText(text) {
    super.setText(text);
    this.#shown = { text, state: "processing" };
    this.#show();
  }

  /** Show the upload in the frames of its item. */
  #show() {
    if (lastUploads.get(this.id) !== this) return;
    showUpload(this.id, { ...this.#shown, url: this.#previewUrl, buttons: () => this.failureButtons() });
  }

  async #addPreview() {
    if (this.#hasPreview) return;
    this.#hasPreview = true;
    const url = await createPreview(this.file, this.signal);
    if (this.#isDisposed) {
      if (url) URL.revokeObjectURL(url);
      return;
    }
    this.#previewUrl = url;
    if (url) this.setThumbnail(url);
    this.#show();
  }

  /** @param {"done" | "stopped"} state @param {string} text */
  end(state, text) {
    super.end(state, text);
    this.dispose();
  }

  /** Stop showing the upload in frames, and free its preview. */
  async dispose() {
    this.#isDisposed = true;
    if (lastUploads.get(this.id) === this) {
      lastUploads.delete(this.id);
      await hideUpload(this.id);
    }
    if (this.#previewUrl) URL.revokeObjectURL(this.#previewUrl);
    this.#previewUrl = null;
  }

  // ---------------------------------------------------------------------------------------------------------- failures

  get retryLabel() {
    return this.sent ? "Check again" : "Try again";
  }

  /** @param {Problem} problem */
  isRetryable(problem) {
    return super.isRetryable(problem) || problem.error === REFUSED;
  }

  /** @param {Problem} problem @param {{retry?: () => void}} [options] */
  fail(problem, options) {
    super.fail(problem, options);
    this.#shown = this.sent
      ? { text: "Processing", state: "processing", problem }
      : { text: "Picture failed", state: "failed", problem };
    this.#show();
  }

  failureButtons() {
    const label = "Choose another picture";
    const replace = () => pickFiles(PICTURE_TYPES, false, (files) => {
      this.dismiss();
      this.replaceBy(files);
    });
    return [...super.failureButtons(), button(label, replace, { "aria-label": `${label}: ${this.title}` })];
  }

  // ---------------------------------------------------------------------------------------------------------- the work

  async attempt() {
    if (!this.sent) await uploadSlots.run(() => this.#send(), this.signal);
    this.markSent();
    this.setText("Processing");
    this.#showResult(await this.#watch());
  }

  async #send() {
    const { signal } = this;
    signal.throwIfAborted();
    this.setText("Uploading");
    this.#addPreview();
    this.id ||= await this.#retrying(this.getItemId);
    signal.throwIfAborted();
    this.#replaceOlder();
    this.sent = await this.#sendWithTicket().catch((problem) => {
      // The ticket may have expired while the browser was offline or the device asleep.
      if (problem.error !== REFUSED || problem.status !== 403) throw problem;
      return this.#sendWithTicket();
    });
  }

  /** Send the file with a new ticket. @returns {Promise<SentUpload>} */
  async #sendWithTicket() {
    const { signal } = this;
    const body = { contentType: this.type };
    const { data: ticket } = await this.#retrying(() => call("POST", `${itemPath(this.id)}/image`, { body, signal }));
    const { item: before } = await this.#retrying(() => readItem(this.id, { signal }));
    await this.#retrying(() => this.#post(ticket));
    return { uploadId: ticket.upload.fields.key.split("/").pop(), before };
  }

  /** @template Result @param {() => Promise<Result>} action */
  #retrying(action) {
    return retry(action, { signal: this.signal, onRetry: (text) => this.setText(text) });
  }

  #replaceOlder() {
    const older = lastUploads.get(this.id);
    lastUploads.set(this.id, this);
    this.#show();
    if (!older || older === this) return;
    if (older.state === "failed") older.dismiss();
    else older.stop(`Replaced by ${this.title}`);
  }

  /** @param {UploadTicket} ticket */
  async #post({ upload: { url, fields }, maxBytes }) {
    const { file } = this;
    const problem = sizeProblem(file, maxBytes);
    if (problem) throw problem;
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file); // S3 ignores what comes after the file.
    await postForm(url, form, this.signal, (loaded, total) => {
      this.setProgress((loaded / total) * 0.9);
      this.setText(`${formatBytes(loaded)} of ${formatBytes(total)}`);
    });
  }

  #watch() {
    const sent = /** @type {SentUpload} */ (this.sent);
    return waitForThumbnails(this.id, sent, { signal: this.signal, onText: (text) => this.setText(text) });
  }

  /** @param {UploadResult} result */
  #showResult(result) {
    if (result.state === "failed") {
      this.sent = null;
      this.fail(result.problem, { retry: result.problem.error === LOST ? () => this.run() : undefined });
      return;
    }
    if (result.thumbnail) this.setThumbnail(result.thumbnail);
    this.end(result.state === "ready" ? "done" : "stopped", result.text);
  }
}

/**
 * Post a form to the bucket. Throw Problem, or the signal's reason.
 * @param {string} url
 * @param {FormData} form
 * @param {AbortSignal} signal
 * @param {(loaded: number, total: number) => void} onProgress in bytes
 * @returns {Promise<void>}
 */
function postForm(url, form, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not report the progress of an upload.
    const stop = () => request.abort();
    signal.addEventListener("abort", stop);
    request.open("POST", url);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    request.onload = () => (request.status < 300 ? resolve() : reject(refusalOf(request)));
    request.onerror = () => reject(new Problem({ message: "The connection was lost during the upload." }));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    request.send(form);
  });
}

/** @param {XMLHttpRequest} request */
function refusalOf(request) {
  const textOf = (/** @type {string} */ tag) => request.responseXML?.querySelector(tag)?.textContent ?? "";
  const reason = textOf("Message") || `status ${request.status}`;
  const message = `The upload was refused: ${reason}`;
  return new Problem({ status: request.status, error: REFUSED, message, requestId: textOf("RequestId") });
}
