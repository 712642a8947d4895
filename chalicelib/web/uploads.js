// Uploads of pictures to the bucket.

import { Problem, call, itemPath } from "./api.js";
import { formatBytes } from "./dom.js";
import { storeItem } from "./item-store.js";
import { uploadingIds, waitForThumbnails } from "./picture-polling.js";
import { retry } from "./poll.js";
import { Transfer } from "./progress-panel.js";

/** By a file name's extension. @type {Record<string, string>} */
const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", tif: "image/tiff",
  tiff: "image/tiff", avif: "image/avif", bmp: "image/bmp",
};

/** Without HEIC, so that an iPhone converts its pictures to JPEG. */
export const PICTURE_TYPES = Object.values(TYPES).join();

/**
 * Return a picture's content type if the API accepts it.
 * @param {File} file
 * @returns {string | undefined}
 */
export function pictureType(file) {
  return Object.values(TYPES).includes(file.type) ? file.type : TYPES[file.name.split(".").pop()?.toLowerCase() ?? ""];
}

const MAX_UPLOADS = 3;
let freeSlots = MAX_UPLOADS;
/** @type {(() => void)[]} */
const waiting = [];

/** @param {() => Promise<void>} action @param {AbortSignal} signal */
async function withSlot(action, signal) {
  if (freeSlots > 0) freeSlots -= 1;
  else await nextSlot(signal);
  try {
    await action();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else freeSlots += 1;
  }
}

/** @param {AbortSignal} signal @returns {Promise<void>} */
function nextSlot(signal) {
  return new Promise((resolve, reject) => {
    waiting.push(resolve);
    signal.addEventListener("abort", () => {
      const index = waiting.indexOf(resolve);
      if (index >= 0) waiting.splice(index, 1);
      reject(signal.reason);
    });
  });
}

/** The last upload to each item: it cancels older ones. @type {Map<string, Upload>} */
const lastUploads = new Map();

/** The bucket refused the upload. With a new ticket it may succeed. */
const REFUSED = "UPLOAD_REFUSED";

/**
 * Upload a picture, and show its progress until its thumbnails are ready.
 * @param {File} file
 * @param {() => Promise<string>} getItemId may create the item; repeated after a failure
 */
export function uploadPicture(file, getItemId) {
  const upload = new Upload(file, getItemId);
  if (upload.type) upload.run();
  else upload.fail(new Problem({ message: "This is not a picture in JPEG, PNG, WebP, GIF, TIFF, AVIF or BMP." }));
}

class Upload extends Transfer {
  id = "";
  /** @type {SentUpload | null} */
  sent = null;

  /** @param {File} file @param {() => Promise<string>} getItemId */
  constructor(file, getItemId) {
    super(file.name || "Pasted picture", "picture");
    this.file = file;
    this.getItemId = getItemId;
    this.type = pictureType(file);
  }

  get retryLabel() {
    return this.sent ? "Check again" : "Try again";
  }

  /** @param {Problem} problem */
  isRetryable(problem) {
    return super.isRetryable(problem) || problem.error === REFUSED;
  }

  async attempt() {
    try {
      if (!this.sent) await withSlot(() => this.#send(), this.signal);
      this.markSent();
      this.setText("Processing");
      this.#showResult(await this.#watch());
    } finally {
      if (lastUploads.get(this.id) === this) {
        lastUploads.delete(this.id);
        uploadingIds.delete(this.id);
      }
    }
  }

  async #send() {
    const { signal } = this;
    signal.throwIfAborted();
    this.setText("Uploading");
    this.id ||= await this.#retrying(this.getItemId);
    signal.throwIfAborted();
    this.#replaceOlder();
    const body = { contentType: this.type };
    const { data: ticket } = await this.#retrying(() => call("POST", `${itemPath(this.id)}/image`, { body, signal }));
    const { data: before, etag } = await this.#retrying(() => call("GET", itemPath(this.id), { signal }));
    storeItem(before, etag);
    await this.#retrying(() => this.#post(ticket));
    this.sent = { uploadId: ticket.upload.fields.key.split("/").pop(), before };
  }

  /** @template Result @param {() => Promise<Result>} action */
  #retrying(action) {
    return retry(action, { signal: this.signal, onRetry: (text) => this.setText(text) });
  }

  #replaceOlder() {
    const older = lastUploads.get(this.id);
    if (older && older !== this) older.stop(`Replaced by ${this.title}`);
    lastUploads.set(this.id, this);
    uploadingIds.add(this.id);
  }

  /** @param {UploadTicket} ticket */
  async #post({ upload: { url, fields }, maxBytes }) {
    const { file } = this;
    if (file.size > maxBytes) {
      const message = `A picture may have ${formatBytes(maxBytes)}; this one has ${formatBytes(file.size)}.`;
      throw new Problem({ status: 413, message });
    }
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
    if (result.state === "failed") this.fail(result.problem);
    else this.end(result.state === "ready" ? "done" : "stopped", result.text);
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
