// What takes a while: pictures on their way to thumbnails, files being imported.

import { Problem, call, itemPath, parse } from "./api.js";
import { bytes, button, h, plural, task } from "./dom.js";

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", tif: "image/tiff",
  tiff: "image/tiff", avif: "image/avif", bmp: "image/bmp",
};

/** What a file picker offers. Where JPEG is named and HEIC is not, an iPhone hands over its pictures as JPEG. */
export const PICTURES = Object.values(TYPES).join();

const ending = (name) => name.split(".").pop().toLowerCase();

/** The content type of a picture that the API takes, or undefined. */
export function pictureType(file) {
  return Object.values(TYPES).includes(file.type) ? file.type : TYPES[ending(file.name)];
}

/** Whether a file is one to import. */
export const isImport = (file) => ["json", "ndjson", "jsonl"].includes(ending(file.name));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits between polls: quick at first, then no more often than every five seconds, for about five minutes. */
function* waits() {
  for (let turn = 0; turn < 70; turn += 1) yield Math.min(500 * 1.3 ** turn, 5000);
}

// --------------------------------------------------------------------------------------------------------- pictures

/** Ids of items whose picture is on its way from here. */
export const busy = new Set();

// Three at a time: many pictures dropped at once should not fight each other for the line.
const running = new Set();
const waiting = [];

function inTurn(job) {
  waiting.push(job);
  next();
}

function next() {
  if (running.size >= 3 || waiting.length === 0) return;
  const job = waiting.shift();
  running.add(job);
  job().finally(() => {
    running.delete(job);
    next();
  });
}

/**
 * Gives an item a picture, shown in the tray from the first byte to ready or failed. `find()` gives the item's id, and
 * may create the item first; `changed(id, item, etag)` hears of every state the item takes.
 */
export function upload(file, find, changed) {
  const shown = task(file.name || "Pasted picture");
  shown.say("Waiting its turn");
  let id;
  const again = () => {
    shown.close();
    upload(file, async () => id ?? find(), changed);
  };
  inTurn(async () => {
    try {
      const type = pictureType(file);
      if (!type) throw new Problem({ status: 415, message: "This is not a picture: JPEG, PNG, WebP, GIF, TIFF, AVIF and BMP are." });
      shown.say("Asking where to put it");
      id = await find();
      busy.add(id);
      const ticket = await call("POST", `${itemPath(id)}/image`, { body: { contentType: type } });
      const before = await call("GET", itemPath(id));
      changed(id, before.data, before.etag);
      await post(ticket.data, file, shown);
      await untilRendered(id, before.data.version, ticket.data.upload.fields.key, shown, changed);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      shown.fail(problem, isPassing(problem) && button("Try again", again));
    } finally {
      busy.delete(id);
    }
  });
}

/** Whether trying again may help: no answer came, or the other side had trouble. */
const isPassing = ({ status }) => status === 0 || status >= 500;

function post({ upload: { url, fields }, maxBytes }, file, shown) {
  if (file.size > maxBytes) {
    throw new Problem({ status: 413, message: `A picture may have ${bytes(maxBytes)}; this one has ${bytes(file.size)}.` });
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file); // Last: what comes after the file, S3 passes over.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is.
    request.open("POST", url);
    request.upload.onprogress = (event) => {
      shown.progress(event.loaded / event.total);
      shown.say(`${bytes(event.loaded)} of ${bytes(event.total)}`);
    };
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = () => reject(new Problem({ message: "The upload broke off." }));
    request.send(form);
  });
}

function refusal(request) {
  const text = (name) => request.responseXML?.querySelector(name)?.textContent ?? "";
  return new Problem({
    status: request.status,
    error: text("Code"),
    message: `The bucket refused the upload: ${text("Message") || `it answered ${request.status}`}`,
    requestId: text("RequestId"),
  });
}

async function untilRendered(id, version, key, shown, changed) {
  shown.progress(null);
  shown.say("Making thumbnails");
  const uploadId = key.split("/").pop();
  for (const wait of waits()) {
    await pause(wait);
    const { data: item, etag } = await call("GET", itemPath(id));
    const image = item.image ?? {};
    // Until the upload is noted, the item still shows the picture it had before: its URL names the older upload.
    const ours = item.version > version && (image.status === "failed" || image.url?.includes(uploadId));
    if (item.version > version) changed(id, item, etag);
    if (ours && image.status === "ready") return shown.done("Ready");
    if (ours) return shown.fail(new Problem(image.error ?? { message: "It could not be read." }));
  }
  return shown.fail(new Problem({ message: "It is uploaded, but its thumbnails take longer than usual. Look again later." }));
}

/** Follows a picture that something else is rendering, until it is ready, failed or gone. */
export async function follow(id, changed) {
  for (const wait of waits()) {
    await pause(wait + 1500);
    try {
      const { data: item, etag } = await call("GET", itemPath(id));
      if (item.image?.status !== "processing") return changed(id, item, etag);
    } catch {
      return undefined; // Gone, or out of reach: the card stays as it is.
    }
  }
  return undefined;
}

// ---------------------------------------------------------------------------------------------------------- imports

/** Imports a file of items, JSON or NDJSON, shown in the tray; `done()` is called when there is something new. */
export async function importFile(file, done) {
  const shown = task(`Import ${file.name}`);
  try {
    shown.progress(null);
    shown.say("Sending");
    const { data: begun } = await call("POST", "imports", bodyOf(await file.text()));
    const end = await untilImported(begun, shown);
    done();
    if (end.failed === 0) shown.done(`${plural(end.created, "item")} created`, 8000);
    else shown.fail(new Problem({ message: summary(end) }), badLines(end));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    shown.fail(problem);
  }
}

/** What to send: a JSON array is wrapped as it stands, so that its numbers stay exact; one object a line is NDJSON. */
function bodyOf(text) {
  let value;
  try {
    value = parse(text);
  } catch {
    return { body: text, type: "application/x-ndjson" };
  }
  if (Array.isArray(value)) return { body: `{"items":${text}}` };
  return Array.isArray(value?.items) ? { body: text } : { body: text, type: "application/x-ndjson" };
}

async function untilImported(begun, shown) {
  let now = begun;
  for (let turn = 0; now.status !== "done"; turn += 1) {
    shown.progress((now.created + now.failed) / now.total);
    shown.say(now.status === "queued" ? `${plural(now.total, "item")} waiting` : `${summary(now)} of ${now.total}`);
    await pause(Math.min(400 * 1.2 ** turn, 5000));
    now = (await call("GET", `imports/${encodeURIComponent(begun.id)}`)).data;
  }
  return now;
}

const summary = ({ created, failed }) => `${plural(created, "item")} created${failed ? `, ${failed} failed` : ""}`;

function badLines({ errors, failed }) {
  return h("details", { open: failed <= 5 },
    h("summary", {}, `What failed${errors.length < failed ? ` (the first ${errors.length})` : ""}`),
    h("ol", { class: "bad-lines" }, errors.map(({ index, error, message }) =>
      h("li", { value: index + 1 }, message, " ", h("code", {}, error)))));
}
