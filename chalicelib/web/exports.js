// Exports: what to export, the progress in the panel, and the files to download. They survive a reload.

import { Problem, call, newIdempotencyKey } from "./api.js";
import { showQuestion } from "./dialog.js";
import { $, button, formatBytes, h, plural, targetOf } from "./dom.js";
import { currentSettings } from "./gallery.js";
import { EXPORTS_KEY } from "./lazy-modules.js";
import { DEFAULTS, filtersOf, hasWord } from "./page-url.js";
import { pollJob, retry } from "./poll-and-retry.js";
import { Transfer, unfoldPanel } from "./progress-panel.js";

/** The most ids that `POST /exports` takes. */
const MAX_IDS = 1000;
const URLS_VALID = 100 * 60 * 1000; // milliseconds; the API says two hours
const GONE = 404;

/**
 * Ask what to export, and export it.
 * @param {string[]} [selected] ids of the selected items
 */
export async function openExport(selected = []) {
  const request = await askExport(selected);
  if (request) new Export(titleOf(request), request).run();
}

// -------------------------------------------------------------------------------------------------------------- dialog

/**
 * Return the part of a request that selects the items of the list: words and filters.
 * @param {{q: string, filters: string}} settings
 */
export function criteriaOf({ q, filters }) {
  /** @type {Record<string, Record<string, string>>} */
  const filter = {};
  for (const { field, operator, value } of filtersOf(filters)) filter[field] = { ...filter[field], [operator]: value };
  return { ...(Object.keys(filter).length > 0 && { filter }), ...(hasWord(q) && { q }) };
}

/**
 * Return what can be exported, the most likely first.
 * @param {string[]} selected ids
 * @param {ListSettings} settings
 * @returns {{label: string, criteria: Partial<ExportRequest> | null}[]} without criteria, it cannot be
 */
export function exportChoices(selected, settings) {
  const matching = criteriaOf(settings);
  const bounds = [matching.q && "the search", matching.filter && "the filters"].filter(Boolean).join(" and ");
  const isTooMany = selected.length > MAX_IDS;
  const chosen = `The ${plural(selected.length, "selected item")}`;
  const limit = isTooMany ? `, but at most ${MAX_IDS.toLocaleString()} can be exported` : "";
  const choices = [
    selected.length > 0 && { label: chosen + limit, criteria: isTooMany ? null : { ids: selected } },
    bounds !== "" && { label: `Items that match ${bounds}`, criteria: matching },
    { label: "All items", criteria: {} },
  ];
  return choices.filter((one) => one !== false);
}

/**
 * Ask what to export. Return null if the user cancels.
 * @param {string[]} selected ids of the selected items
 * @returns {Promise<ExportRequest | null>}
 */
function askExport(selected) {
  return new Promise((resolve) => {
    const choices = exportChoices(selected, currentSettings());
    const which = h("select", {}, choices.map(({ label, criteria }, place) =>
      h("option", { value: `${place}`, disabled: !criteria }, label)));
    which.value = `${choices.findIndex(({ criteria }) => criteria)}`;
    const format = h("select", {}, h("option", { value: "csv" }, "CSV, for spreadsheets"),
      h("option", { value: "ndjson" }, "NDJSON, to import it again"));
    const pictures = h("input", { type: "checkbox" });
    const onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      const chosen = { format: /** @type {ExportRequest["format"]} */ (format.value), pictures: pictures.checked };
      resolve({ ...chosen, ...choices[Number(which.value)].criteria });
      asking.close();
    };
    const isBounded = currentSettings().added !== DEFAULTS.added;
    const asking = showQuestion({ onclose: () => resolve(null) },
      h("h2", { id: "question" }, "Export"),
      h("form", { class: "ask-form", onsubmit },
        h("label", {}, "Items", which),
        isBounded && h("p", { class: "note" }, "Of any time. To export only those shown here, select them."),
        h("label", {}, "Format", format),
        h("label", { class: "check" }, pictures, "Pictures too, as they were uploaded (zip)"),
        h("div", { class: "row" },
          button("Cancel", () => asking.close()), h("button", { class: "primary" }, "Export"))));
  });
}

// ------------------------------------------------------------------------------------------------------------ progress

/** Show the exports that were started before a reload. */
export function resume() {
  for (const { id, title } of storedExports()) new Export(title, null, id).run();
}

/** @returns {{id: string, title: string}[]} */
function storedExports() {
  try {
    return JSON.parse(sessionStorage.getItem(EXPORTS_KEY) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {{id: string, title: string}[]} all */
function storeExports(all) {
  if (all.length > 0) sessionStorage.setItem(EXPORTS_KEY, JSON.stringify(all));
  else sessionStorage.removeItem(EXPORTS_KEY);
}

/** @param {ExportRequest} request */
const titleOf = ({ format, pictures }) => `Export as ${format.toUpperCase()}${pictures ? " with pictures" : ""}`;

class Export extends Transfer {
  /** With this key, the request can be sent again without starting another export. */
  #key = newIdempotencyKey();
  #request;
  /** The id of the export, after the request was sent. */
  #id;
  #readAt = 0;

  /** @param {string} title @param {ExportRequest | null} request null if it is sent already @param {string} [id] */
  constructor(title, request, id = "") {
    super(title, "export");
    this.#request = request;
    this.#id = id;
  }

  get retryLabel() {
    return this.#id ? "Check again" : "Try again";
  }

  get stays() {
    return super.stays || this.state === "done";
  }

  async attempt() {
    if (!this.#id) await this.#send();
    this.markSent();
    try {
      this.#showFiles(await this.#watch());
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== GONE) throw problem;
      this.end("stopped", "The files are no longer available");
    }
  }

  async #send() {
    const { signal } = this;
    this.setText("Starting");
    const headers = { "Idempotency-Key": this.#key };
    const post = () => call("POST", "exports", { body: this.#request, headers, signal });
    const { data } = await retry(post, { signal, onRetry: (text) => this.setText(text) });
    this.#id = data.id;
    storeExports([...storedExports(), { id: data.id, title: this.title }]);
  }

  /** Wait for the end of the export. Throw Problem. */
  async #watch() {
    let before = "";
    const check = async (/** @type {() => void} */ restartTimeout) => {
      /** @type {{data: ExportStatus}} */
      const { data: status } = await call("GET", `exports/${encodeURIComponent(this.#id)}`);
      const text = progressText(status);
      if (text !== before) restartTimeout();
      before = text;
      this.setText(text);
      if (status.status === "failed") throw new Problem({ status: 422, message: "It failed.", ...status.error });
      return status.status === "done" ? status : undefined;
    };
    const late = "The export may still be finished later.";
    return pollJob(check, { signal: this.signal, onText: (text) => this.setText(text), job: "export", late });
  }

  /** @param {ExportStatus} status */
  #showFiles({ items, files, expiresAt }) {
    this.#readAt = Date.now();
    this.end("done", `${plural(items, "item")} exported`);
    const until = new Date(expiresAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const links = files.map(({ name, bytes, url }) => h("li", {},
      h("a", { href: url, download: name, onclick: (/** @type {Event} */ event) => this.#renew(event) }, name),
      ` ${formatBytes(bytes)}`));
    unfoldPanel();
    this.text.append(h("ul", { class: "downloads" }, links), h("p", {}, `Available until ${until}`));
  }

  /** Get the URLs of the files again, if they have expired. @param {Event} event */
  async #renew(event) {
    if (Date.now() - this.#readAt < URLS_VALID) return;
    event.preventDefault();
    const { download } = targetOf(event);
    await this.run();
    $(`[download="${CSS.escape(download)}"]`, this.text)?.click();
  }

  dispose() {
    storeExports(storedExports().filter(({ id }) => id !== this.#id));
  }
}

/** @param {ExportStatus} status */
export function progressText({ status, items, total, pictures }) {
  if (status === "queued") return "Waiting";
  const found = plural(items, "item") + (pictures ? `, ${plural(pictures, "picture")}` : "");
  const areAllRead = total !== undefined;
  return areAllRead ? `${found}, making the files` : `${found} so far`;
}
