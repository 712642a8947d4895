// Files that the user chooses, drops or pastes: pictures to upload, and files to import.

import { Problem, call, newIdempotencyKey } from "./api.js";
import { currentView, loadForm } from "./dialog.js";
import { formatBytes, h, pickFiles, plural, targetOf } from "./dom.js";
import { isObject, parseJson } from "./exact-json.js";
import { attachPicture, takePhoto } from "./item-pictures.js";
import { loadNewer } from "./list-loading.js";
import { PICTURE_TYPES, pictureType } from "./picture-types.js";
import { PollTimeout, poll, retry } from "./poll.js";
import { Transfer } from "./progress-panel.js";

/** The limit of `POST /imports`. */
const MAX_BYTES = 5 * 1024 * 1024;
const NO_PROGRESS_SECONDS = 600;

/** @param {string} name */
const extensionOf = (name) => name.split(".").pop()?.toLowerCase() ?? "";

/**
 * Return whether a file is to be imported.
 * @param {File} file
 */
export const isImportFile = (file) => ["json", "ndjson", "jsonl"].includes(extensionOf(file.name));

/**
 * Import a file, and show its progress.
 * @param {File} file
 * @param {() => void} onDone
 */
export const importFile = (file, onDone) => new Import(file, onDone).run();

class Import extends Transfer {
  /** Sent again under it, the file is imported once. */
  key = newIdempotencyKey();
  /** @type {ImportBody | null} */
  content = null;
  /** The import, when it is sent. @type {ImportStatus | null} */
  started = null;

  /** @param {File} file @param {() => void} onDone */
  constructor(file, onDone) {
    super(`Import ${file.name}`, "import");
    this.file = file;
    this.onDone = onDone;
  }

  get retryLabel() {
    return this.started ? "Check again" : "Try again";
  }

  async attempt() {
    this.content ??= await readImport(this.file);
    this.started ??= await this.#send(this.content);
    this.markSent();
    const result = await this.#watch(this.started);
    this.onDone();
    this.#showResult(result, this.content);
  }

  /** @param {ImportBody} content @returns {Promise<ImportStatus>} */
  async #send({ body, type }) {
    const { signal } = this;
    this.setProgress(null);
    this.setText("Uploading");
    const post = () => call("POST", "imports", { body, type, headers: { "Idempotency-Key": this.key }, signal });
    return (await retry(post, { signal, onRetry: (text) => this.setText(text) })).data;
  }

  /** @param {ImportStatus} started @returns {Promise<ImportStatus>} */
  async #watch(started) {
    let processed = 0;
    this.#showStatus(started);
    const check = async (/** @type {() => void} */ restartTimeout) => {
      const { data } = await call("GET", `imports/${encodeURIComponent(started.id)}`);
      this.#showStatus(data);
      if (data.created + data.failed > processed) restartTimeout();
      processed = data.created + data.failed;
      return data.status === "done" ? data : undefined;
    };
    const onRetry = (/** @type {string} */ text) =>
      this.setText(navigator.onLine ? text : "Offline, the import continues on the server");
    try {
      return await poll(check, { signal: this.signal, seconds: NO_PROGRESS_SECONDS, onRetry });
    } catch (problem) {
      if (!(problem instanceof PollTimeout)) throw problem;
      throw new PollTimeout({ message: "No progress for ten minutes. The rest is tried again every hour for a day." });
    }
  }

  /** @param {ImportStatus} status */
  #showStatus(status) {
    const { created, failed, total } = status;
    this.setProgress((created + failed) / total);
    const isQueued = status.status === "queued";
    const counts = `${countsText(status)} of ${total.toLocaleString()}`;
    this.setText(isQueued ? `${plural(total, "item")} waiting` : counts);
  }

  /** @param {ImportStatus} result @param {ImportBody} content */
  #showResult(result, content) {
    if (result.failed === 0) {
      this.end("done", `${plural(result.created, "item")} created`);
      return;
    }
    const problem = new Problem({ message: countsText(result) });
    this.fail(problem, { failedItems: result.failed, extra: failureList(result, content) });
  }
}

/** @param {ImportStatus} status */
function countsText({ created, failed }) {
  return `${plural(created, "item")} created${failed > 0 ? `, ${failed.toLocaleString()} failed` : ""}`;
}

/** List the items that failed. @param {ImportStatus} result @param {ImportBody} content */
function failureList({ errors, failed }, { lines }) {
  const limit = errors.length < failed ? ` (the first ${errors.length.toLocaleString()})` : "";
  return h("details", { open: failed <= 5 },
    h("summary", {}, `${lines ? "Lines" : "Items"} that failed${limit}`),
    h("ol", { class: "failed-lines" }, errors.map(({ index, message, error }) =>
      h("li", { value: lines?.[index] ?? index + 1 }, message, " ", h("code", {}, error)))));
}

/**
 * Return what to send of a file. Throw Problem if it is too large, or has no items.
 * @param {File} file
 * @returns {Promise<ImportBody>}
 */
export async function readImport(file) {
  if (file.size > MAX_BYTES) throw tooLarge(file.size);
  const text = await file.text();
  const content = jsonImport(text) ?? linesImport(text, file.name);
  const size = new Blob([content.body]).size;
  if (size > MAX_BYTES) throw tooLarge(size);
  return content;
}

/** @param {number} size */
function tooLarge(size) {
  const message = `An import may have at most ${formatBytes(MAX_BYTES)}: split it. This one has ${formatBytes(size)}.`;
  return new Problem({ status: 413, message });
}

/** Read an array, an object with `items` or a single item. Return null if it is not JSON. @param {string} text */
function jsonImport(text) {
  const value = valueOf(text);
  if (value === undefined) return null;
  if (value === null || typeof value !== "object") {
    throw new Problem({ message: "This file contains no items, only a single value." });
  }
  // The text is wrapped and not written anew: its numbers stay exact.
  const items = Array.isArray(value) ? text : `[${text}]`;
  return { body: Array.isArray(value.items) ? text : `{"items":${items}}`, type: "application/json", lines: null };
}

/** Read lines with an item each. @param {string} text @param {string} name */
function linesImport(text, name) {
  // As the API does, which ignores blank lines and does not count them.
  const lines = text.split(/\r\n|\n|\r/).map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => /[^ \t\v\f]/.test(line));
  // A .json file may hold lines. If they are not all objects, it is JSON with a syntax error.
  if (extensionOf(name) === "json" && !lines.every(({ line }) => isObject(valueOf(line)))) throw syntaxProblem(text);
  return { body: text, type: "application/x-ndjson", lines: lines.map(({ number }) => number) };
}

/** Return the value of a JSON text, or undefined. @param {string} text */
function valueOf(text) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** @param {string} text */
function syntaxProblem(text) {
  try {
    JSON.parse(text);
  } catch (error) {
    const reason = /** @type {Error} */ (error).message;
    return new Problem({ message: `This file is not valid JSON: ${reason}. Nothing was imported.` });
  }
  throw new TypeError("The text is valid JSON.");
}

const openNewItem = async () => (await loadForm()).openNewItem();

/** @param {File[]} files */
const createItemsOf = async (files) => (await loadForm()).createItemsOf(files);

/** @param {File} file */
const startImport = (file) => importFile(file, loadNewer);

/**
 * Use files that were dropped or pasted. Pictures go to the open view, or to the card below them.
 * @param {File[]} files
 * @param {Element | null} target
 */
export function addFiles(files, target) {
  const pictures = files.filter((file) => !isImportFile(file));
  const view = currentView();
  const card = /** @type {HTMLElement | null | undefined} */ (target?.closest?.("#lists [data-id]"));
  if (view && pictures.length > 0) view.addFiles(pictures);
  else if (card?.dataset.id && pictures.length === 1) attachPicture(card.dataset.id, pictures);
  else createItemsOf(pictures);
  files.filter(isImportFile).forEach(startImport);
}

/** What the buttons with a `data-action` do. @type {Record<string, () => void>} */
export const actions = {
  new: openNewItem,
  pictures: () => pickFiles(PICTURE_TYPES, true, createItemsOf),
  photo: () => takePhoto((file) => createItemsOf([file])),
  import: () => pickFiles(".json,.ndjson,.jsonl", false, ([file]) => startImport(file)),
};

/** @type {Element | null} */
let dropTarget = null;

/** @param {Element | null} target what files are dragged over, or null */
function markDropTarget(target) {
  dropTarget?.classList.remove("target");
  dropTarget = target?.closest?.("#lists [data-id], #item") ?? null;
  dropTarget?.classList.add("target");
  document.body.classList.toggle("dropping", target !== null);
}

// console.js handles the drop.
addEventListener("dragover", (event) => event.defaultPrevented && markDropTarget(targetOf(event)));
addEventListener("dragleave", (event) => event.relatedTarget === null && markDropTarget(null));
addEventListener("drop", () => markDropTarget(null));

addEventListener("paste", (event) => {
  const clipboard = event.clipboardData;
  const files = [...(clipboard?.files ?? [])].filter((file) => pictureType(file) || isImportFile(file));
  // Copied text often comes with a picture of it. In a text field, the text is meant.
  const isText = targetOf(event).matches?.("input, textarea") && clipboard?.types.includes("text/plain");
  if (files.length === 0 || isText) return;
  event.preventDefault();
  addFiles(files.map(withTitle), null);
});

/** Rename a pasted file if it has the name that browsers give to every picture. @param {File} file */
function withTitle(file) {
  return file.name === "image.png" ? new File([file], "Pasted picture", { type: file.type }) : file;
}
