// Imports: the dialog that shows how a file will be read, and the progress and the result in the panel.

import { Problem, call, newIdempotencyKey } from "./api.js";
import { showQuestion } from "./dialog.js";
import { button, h, plural } from "./dom.js";
import { isNumber, toJson } from "./exact-json.js";
import { MANAGED, fieldLabel, sortableFields } from "./field-metadata.js";
import { describedColumns, entryProblems, likelyKey, possibleKeys, readImport } from "./import-file.js";
import { refreshList } from "./list-loading.js";
import { pollJob, retry } from "./poll-and-retry.js";
import { Transfer } from "./progress-panel.js";

const ROWS = 5;
const MAX_COLUMNS = 50;
const MAX_PROBLEMS = 5;

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

// -------------------------------------------------------------------------------------------------------------- dialog

/**
 * Ask how to import a file. Return the field by which items that exist are changed, "" to add all, or null to cancel.
 * @param {string} name
 * @param {ImportContent} content
 * @returns {Promise<string | null>}
 */
function askImport(name, content) {
  return new Promise((resolve) => {
    const noun = content.type === "text/csv" ? "row" : "item";
    const count = plural(content.entries.length, noun);
    const keys = keySelect(content, noun);
    const note = h("p", { class: "note" });
    const problems = h("div", { class: "import-problems" });
    const submit = h("button", { class: "primary" }, `Import ${count}`);
    const showKey = () => {
      note.textContent = keyNote(keys.value, noun);
      submit.disabled = showProblems(problems, content, keys.value, noun);
    };
    keys.addEventListener("change", showKey);
    showKey();
    const onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      resolve(keys.value);
      asking.close();
    };
    const asking = showQuestion({ class: "ask wide import-preview", onclose: () => resolve(null) },
      h("h2", { id: "question" }, `Import ${name}`),
      h("form", { class: "ask-form", onsubmit },
        preview(content, noun), undeclaredNote(content), problems,
        h("label", {}, "Items that exist already", keys), note,
        h("div", { class: "row" }, button("Cancel", () => asking.close()), submit)));
    submit.focus();
  });
}

/** @param {ImportContent} content @param {string} noun */
function preview(content, noun) {
  const isManaged = (/** @type {{name: string}} */ { name }) => Number(MANAGED.includes(name));
  const inOrder = describedColumns(content).sort((one, other) => isManaged(one) - isManaged(other));
  const columns = inOrder.slice(0, MAX_COLUMNS);
  const shown = content.entries.slice(0, ROWS);
  const rest = content.entries.length - shown.length;
  const head = columns.map(({ name, type, isDeclared }) =>
    h("th", { scope: "col", class: type === "number" && "number" }, name,
      h("span", { class: "type" }, isDeclared ? type : `${type}, not declared`)));
  const counts = `${plural(content.entries.length, noun)}, ${plural(content.columns.length, "field")}`;
  const caption = rest > 0 ? `${counts}. The first ${shown.length}, as they will be read:` : `${counts}:`;
  const rows = shown.map((entry) => h("tr", {}, columns.map(({ name }) => cellOf(entry?.[name]))));
  return h("div", {}, h("p", { class: "note" }, caption),
    h("div", { class: "table", tabIndex: 0, role: "group", "aria-label": "First rows" },
      h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))));
}

/** @param {any} value */
function cellOf(value) {
  if (value === undefined || value === null) return h("td", {});
  if (isNumber(value)) return h("td", { class: "number" }, toJson(value));
  if (typeof value === "boolean") return h("td", {}, value ? "yes" : "no");
  const isTextList = Array.isArray(value) && value.every((one) => typeof one === "string");
  const text = isTextList ? value.join(" | ") : typeof value === "string" ? value : toJson(value);
  return h("td", { title: text }, text);
}

/** @param {ImportContent} content */
function undeclaredNote(content) {
  const columns = describedColumns(content).slice(0, MAX_COLUMNS);
  const names = columns.filter(({ isDeclared }) => !isDeclared).map(({ name }) => name);
  const verb = names.length === 1 ? "is not declared: its values are" : "are not declared: their values are";
  return names.length > 0 && h("p", { class: "note" }, `${names.join(", ")} ${verb} stored as shown here.`);
}

/** @param {ImportContent} content @param {string} noun */
function keySelect(content, noun) {
  const options = possibleKeys(content, sortableFields()).map((name) =>
    h("option", { value: name }, name === "id" ? "Change or restore by id" : `Change by ${fieldLabel(name)}`));
  const select = h("select", {}, h("option", { value: "" }, `Add every ${noun} as a new item`), options);
  select.value = likelyKey(content);
  return select;
}

/** @param {string} key @param {string} noun */
function keyNote(key, noun) {
  if (!key) return "No item is changed.";
  if (key === "id") return "Items that were deleted are restored with their ids. Fields that are not in the file stay.";
  return `A ${noun} with another ${fieldLabel(key)} is added. Fields that are not in the file stay.`;
}

/**
 * Show what is wrong with entries. Return whether the API would refuse the whole file.
 * @param {Element} place
 * @param {ImportContent} content
 * @param {string} key
 * @param {string} noun
 */
function showProblems(place, content, key, noun) {
  const managed = content.columns.filter((name) => MANAGED.includes(name));
  const isRefused = content.type === "text/csv" && key !== "id" && managed.length > 0;
  const all = isRefused ? [] : entryProblems(content, key);
  const more = all.length - MAX_PROBLEMS;
  const others = all.length < content.entries.length ? "; the others are imported" : "";
  const title = isRefused
    ? `${managed.join(", ")}: Vitrine sets this itself. Change or restore by id, or rename the column.`
    : `${plural(all.length, noun)} will probably fail${others}:`;
  const list = all.slice(0, MAX_PROBLEMS).map((one) => h("li", {}, `${one.place}: ${one.message}.`));
  const box = h("div", { class: "problem", role: "alert" }, h("p", {}, title),
    list.length > 0 && h("ul", {}, list, more > 0 && h("li", {}, `and ${more.toLocaleString()} more`)));
  place.replaceChildren(...(isRefused || all.length > 0 ? [box] : []));
  return isRefused;
}

// ------------------------------------------------------------------------------------------------------------ progress

class Import extends Transfer {
  /** With this key, the file can be sent again without importing it twice. */
  idempotencyKey = newIdempotencyKey();
  /** The import, after it was sent. @type {ImportStatus | null} */
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
    refreshList().catch(() => {}); // live-updates.js tries again.
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
    const late = "The rest is tried again every hour for a day.";
    return pollJob(check, { signal: this.signal, onText: (text) => this.setText(text), job: "import", late });
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

/** Return a text such as "3 items created, 2 updated, 1 failed". @param {ImportStatus} status */
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
