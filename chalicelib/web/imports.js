// Imports: sending a file, and its progress and result in the panel.

import { Problem, call, newIdempotencyKey } from "./api.js";
import { h, plural } from "./dom.js";
import { readImport } from "./import-file.js";
import { askImport } from "./import-preview.js";
import { loadNewer } from "./list-loading.js";
import { PollTimeout, poll, retry } from "./poll.js";
import { Transfer } from "./progress-panel.js";

const NO_PROGRESS_SECONDS = 600;

/**
 * Show each file as it will be read, and import it if the user confirms. The panel shows why a file cannot be read.
 * @param {File[]} files
 */
export async function importFiles(files) {
  for (const file of files) {
    const content = await readImport(file).catch((/** @type {unknown} */ problem) => problem);
    if (content instanceof Error) new Import(file, content).run();
    else await importRead(file, /** @type {ImportContent} */ (content));
  }
}

/** @param {File} file @param {ImportContent} content */
async function importRead(file, content) {
  const key = await askImport(file.name, content);
  if (key !== null) new Import(file, content, key).run();
}

class Import extends Transfer {
  /** Sent again under it, the file is imported once. */
  idempotencyKey = newIdempotencyKey();
  /** The import, when it is sent. @type {ImportStatus | null} */
  started = null;

  /** @param {File} file @param {ImportContent | Error} content or why there is none @param {string} key or "" */
  constructor(file, content, key = "") {
    super(`Import ${file.name}`, "import");
    this.content = content;
    this.key = key;
  }

  get retryLabel() {
    return this.started ? "Check again" : "Try again";
  }

  /** A file that cannot be read has to be changed. @param {ApiProblem} problem */
  isRetryable(problem) {
    return problem !== this.content && super.isRetryable(problem);
  }

  async attempt() {
    if (this.content instanceof Error) throw this.content;
    this.started ??= await this.#send(this.content);
    this.markSent();
    const result = await this.#watch(this.started);
    loadNewer();
    this.#showResult(result, this.content);
  }

  /** @param {ImportContent} content @returns {Promise<ImportStatus>} */
  async #send({ body, type }) {
    const { signal } = this;
    this.setProgress(null);
    this.setText("Uploading");
    const path = this.key ? `imports?${new URLSearchParams({ key: this.key })}` : "imports";
    const headers = { "Idempotency-Key": this.idempotencyKey };
    const post = () => call("POST", path, { body, type, headers, signal });
    return (await retry(post, { signal, onRetry: (text) => this.setText(text) })).data;
  }

  /** @param {ImportStatus} started @returns {Promise<ImportStatus>} */
  async #watch(started) {
    let processed = 0;
    this.#showStatus(started);
    const check = async (/** @type {() => void} */ restartTimeout) => {
      const { data } = await call("GET", `imports/${encodeURIComponent(started.id)}`);
      this.#showStatus(data);
      if (processedIn(data) > processed) restartTimeout();
      processed = processedIn(data);
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
    const { total } = status;
    this.setProgress(processedIn(status) / total);
    const counts = `${countsText(status)} of ${total.toLocaleString()}`;
    this.setText(status.status === "queued" ? `${plural(total, "item")} waiting` : counts);
  }

  /** @param {ImportStatus} result @param {ImportContent} content */
  #showResult(result, content) {
    if (result.failed === 0) {
      this.end("done", countsText(result));
      return;
    }
    const problem = new Problem({ message: countsText(result) });
    this.fail(problem, { failedItems: result.failed, extra: failureList(result, content) });
  }
}

/** @param {ImportStatus} status */
const processedIn = ({ created, updated, failed }) => created + updated + failed;

/** Return such as "3 items created, 2 updated, 1 failed". @param {ImportStatus} status */
export function countsText({ created, updated, failed }) {
  const counts = Object.entries({ created, updated, failed }).filter(([, count]) => count > 0);
  const [[first, count], ...others] = counts.length > 0 ? counts : [["created", 0]];
  const rest = others.map(([name, other]) => `, ${other.toLocaleString()} ${name}`);
  return `${plural(count, "item")} ${first}${rest.join("")}`;
}

/** List the items that failed. @param {ImportStatus} result @param {ImportContent} content */
function failureList({ errors, failed }, { lines }) {
  const limit = errors.length < failed ? ` (the first ${errors.length.toLocaleString()})` : "";
  return h("details", { open: failed <= 5 },
    h("summary", {}, `${lines ? "Lines" : "Items"} that failed${limit}`),
    h("ol", { class: "failed-lines" }, errors.map(({ index, message, error }) =>
      h("li", { value: lines?.[index] ?? index + 1 }, message, " ", h("code", {}, error)))));
}
