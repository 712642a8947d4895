// Files of items, JSON or NDJSON: what is sent of them, and what became of it.

import { activity } from "./activity.js";
import { Problem, call, newKey, parse } from "./api.js";
import { bytes, h, plural } from "./dom.js";
import { Overdue, poll, waitingWords, whenPossible } from "./poll.js";

/** Bytes that the API takes at once. */
const MAX_BYTES = 5 * 1024 * 1024;
const STILL = 600; // seconds without progress after which nobody need go on looking

const ending = (name) => name.split(".").pop().toLowerCase();

/** Whether a file is one to import. */
export const isImport = (file) => ["json", "ndjson", "jsonl"].includes(ending(file.name));

/** Imports a file of items, shown in the activity panel; `done()` is called when there is something new. */
export function importFile(file, done) {
  const stopped = new AbortController();
  const shown = activity(`Import ${file.name}`, { kind: "import", cancel: () => stopped.abort(new Error("Cancelled")) });
  return run({ file, done, shown, signal: stopped.signal });
}

async function run(job) {
  const { shown, signal, done } = job;
  try {
    job.read ??= await entriesOf(job.file);
    job.begun ??= await send(job);
    shown.sent();
    const end = await finished(job);
    done();
    if (end.failed === 0) shown.done(`${plural(end.created, "item")} created`);
    else shown.fail(new Problem({ message: summary(end) }), { parts: end.failed, extra: badOnes(end, job.read) });
  } catch (problem) {
    if (signal.aborted) return shown.stop(signal.reason.message);
    if (!(problem instanceof Problem)) throw problem;
    shown.fail(problem, problem.passing || problem.signIn ? { label: job.begun ? "Keep watching" : "Send again", again: () => run(job) } : {});
  }
  return undefined;
}

// ---------------------------------------------------------------------------------------------------------- reading

/**
 * What a file holds, as `{body, type, lines}`: `lines` are the numbers of the lines that its entries stand in, null where
 * it is one JSON value. Throws Problem.
 */
async function entriesOf(file) {
  if (file.size > MAX_BYTES) throw tooLarge(file.size);
  const text = await file.text();
  const read = asJson(text) ?? asLines(text, file.name);
  const size = new Blob([read.body]).size;
  if (size > MAX_BYTES) throw tooLarge(size);
  return read;
}

const tooLarge = (size) => new Problem({ status: 413, message: `An import may have ${bytes(MAX_BYTES)}; this one has ${bytes(size)}.` });

/** A JSON array, or one object, is wrapped as it stands, so that its numbers stay exact. */
function asJson(text) {
  const value = valueOf(text);
  if (value === undefined) return null;
  if (value === null || typeof value !== "object") throw new Problem({ message: "There is no item in this file: it holds a single value." });
  const type = "application/json";
  if (Array.isArray(value)) return { body: `{"items":${text}}`, type, lines: null };
  return { body: Array.isArray(value.items) ? text : `{"items":[${text}]}`, type, lines: null };
}

/** NDJSON, whatever the file is called. A .json file with lines that are no objects is JSON with a mistake in it. */
function asLines(text, name) {
  // As the API takes lines apart, which passes over blank ones and does not count them.
  const lines = text.split(/\r\n|\n|\r/).map((line, index) => [line, index + 1]).filter(([line]) => /[^ \t\v\f]/.test(line));
  if (ending(name) === "json" && !lines.every(([line]) => isObject(valueOf(line)))) throw mistakeIn(text);
  return { body: text, type: "application/x-ndjson", lines: lines.map(([, number]) => number) };
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function valueOf(text) {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function mistakeIn(text) {
  try {
    JSON.parse(text);
  } catch (mistake) {
    return new Problem({ message: `This is not JSON: ${mistake.message}. Nothing was sent.` });
  }
  throw new TypeError("There is no mistake.");
}

// ---------------------------------------------------------------------------------------------------------- sending

async function send(job) {
  const { read: { body, type }, shown, signal } = job;
  job.key ??= newKey(); // One for each file: sent again, it is imported once.
  shown.progress(null);
  shown.say("Sending");
  const headers = { "Idempotency-Key": job.key };
  const ask = async () => (await call("POST", "imports", { body, type, headers, signal })).data;
  return whenPossible(ask, { signal, trouble: (problem) => shown.say(waitingWords(problem)) });
}

async function finished({ begun, shown, signal }) {
  let done = 0;
  tell(shown, begun);
  const look = async (anew) => {
    const { data: now } = await call("GET", `imports/${encodeURIComponent(begun.id)}`);
    tell(shown, now);
    if (now.created + now.failed > done) anew();
    done = now.created + now.failed;
    return now.status === "done" ? now : undefined;
  };
  const trouble = () => shown.say(navigator.onLine ? "The API does not answer: asking again" : "You are offline: the import goes on");
  try {
    return await poll(look, { signal, seconds: STILL, trouble });
  } catch (problem) {
    if (!(problem instanceof Overdue)) throw problem;
    throw new Overdue({ message: "Nothing has happened for ten minutes. What is left is tried again every hour, for a day." });
  }
}

function tell(shown, now) {
  shown.progress((now.created + now.failed) / now.total);
  shown.say(now.status === "queued" ? `${plural(now.total, "item")} waiting` : `${summary(now)} of ${now.total.toLocaleString()}`);
}

const summary = ({ created, failed }) => `${plural(created, "item")} created${failed ? `, ${failed.toLocaleString()} failed` : ""}`;

function badOnes({ errors, failed }, { lines }) {
  const number = ({ index }) => lines?.[index] ?? index + 1;
  const what = lines ? "Lines" : "Items";
  return h("details", { open: failed <= 5 },
    h("summary", {}, `${what} that failed${errors.length < failed ? ` (the first ${errors.length.toLocaleString()})` : ""}`),
    h("ol", { class: "bad-lines" }, errors.map((one) => h("li", { value: number(one) }, one.message, " ", h("code", {}, one.error)))));
}
