// Pictures on their way: to the bucket, a few at a time, and from there to their thumbnails.

import { activity, forgetAll } from "./activity.js";
import { Problem, call, itemPath } from "./api.js";
import { bytes } from "./dom.js";
import { Overdue, poll, waitingWords, whenPossible } from "./poll.js";
import { token } from "./session.js";

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", tif: "image/tiff",
  tiff: "image/tiff", avif: "image/avif", bmp: "image/bmp",
};

/** What a file picker offers. Where JPEG is named and HEIC is not, an iPhone hands over its pictures as JPEG. */
export const PICTURES = Object.values(TYPES).join();

/** The content type of a picture that the API takes, or undefined. */
export function pictureType(file) {
  return Object.values(TYPES).includes(file.type) ? file.type : TYPES[file.name.split(".").pop().toLowerCase()];
}

// ------------------------------------------------------------------------------------------------------------ turns

// Three at a time: many pictures dropped at once should not fight each other for the line.
let free = 3;
const waiting = [];

async function inTurn(action, signal) {
  if (free > 0) free -= 1;
  else await turn(signal);
  try {
    return await action();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
}

function turn(signal) {
  return new Promise((resolve, reject) => {
    waiting.push(resolve);
    signal.addEventListener("abort", () => {
      const place = waiting.indexOf(resolve);
      if (place >= 0) waiting.splice(place, 1);
      reject(signal.reason);
    });
  });
}

// ---------------------------------------------------------------------------------------------------------- uploads

/** Ids of items whose picture is on its way from here. */
export const busy = new Set();

/** The last upload from here to each item: an item has one picture, so a newer one ends an older one. */
const newest = new Map();

/**
 * Gives an item a picture, shown in the activity panel from the first byte to ready or failed. `create()` gives the
 * item's id, and may create the item first; it is called again where a try failed before there was one.
 * `changed(id, item, etag)` hears of every state the item takes.
 */
export function upload(file, create, changed) {
  const title = file.name || "Pasted picture";
  const job = { file, title, create, changed, type: pictureType(file), stopped: new AbortController() };
  job.shown = activity(title, { kind: "picture", cancel: () => job.stopped.abort(new Error("Cancelled")) });
  if (job.type) run(job);
  else job.shown.fail(new Problem({ status: 415, message: "This is not a picture: JPEG, PNG, WebP, GIF, TIFF, AVIF and BMP are." }));
}

async function run(job) {
  const { shown, stopped: { signal } } = job;
  try {
    if (!job.sent) await inTurn(() => send(job), signal);
    shown.sent();
    shown.say("Making thumbnails");
    await rendered(job);
  } catch (problem) {
    if (signal.aborted) shown.stop(signal.reason.message);
    else failed(job, problem);
  } finally {
    if (newest.get(job.id) === job) {
      newest.delete(job.id);
      busy.delete(job.id);
    }
  }
}

function failed(job, problem) {
  const known = problem instanceof Problem;
  const hopeful = known && (problem.passing || problem.signIn || problem.error === REFUSED);
  job.shown.fail(known ? problem : new Problem({ message: "Something went wrong in this page." }),
    hopeful ? { label: job.sent ? "Keep watching" : "Try again", again: () => run(job) } : {});
  if (!known) throw problem;
}

/** Has an item, a ticket, and the file in the bucket. From then on the job is `sent`: it need never be sent again. */
async function send(job) {
  const { shown, changed, stopped: { signal } } = job;
  const patiently = (action) => whenPossible(action, { signal, trouble: (problem) => shown.say(waitingWords(problem)) });
  signal.throwIfAborted();
  shown.say("Asking where to put it");
  job.id ??= await patiently(job.create);
  signal.throwIfAborted();
  takeOver(job);
  const { data: ticket } = await patiently(() => call("POST", `${itemPath(job.id)}/image`, { body: { contentType: job.type }, signal }));
  const { data: before, etag } = await patiently(() => call("GET", itemPath(job.id), { signal }));
  changed(job.id, before, etag);
  await patiently(() => post(ticket, job.file, shown, signal));
  job.sent = { uploadId: ticket.upload.fields.key.split("/").pop(), before };
}

function takeOver(job) {
  const older = newest.get(job.id);
  if (older && older !== job) older.stopped.abort(new Error(`Replaced by ${job.title}`));
  newest.set(job.id, job);
  busy.add(job.id);
}

function post({ upload: { url, fields }, maxBytes }, file, shown, signal) {
  if (file.size > maxBytes) {
    throw new Problem({ status: 413, message: `A picture may have ${bytes(maxBytes)}; this one has ${bytes(file.size)}.` });
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file); // Last: what comes after the file, S3 passes over.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is.
    const stop = () => request.abort();
    signal.addEventListener("abort", stop);
    request.open("POST", url);
    request.upload.onprogress = (event) => {
      shown.progress((event.loaded / event.total) * 0.9);
      shown.say(`${bytes(event.loaded)} of ${bytes(event.total)}`);
    };
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = () => reject(new Problem({ message: "The upload broke off." }));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    request.send(form);
  });
}

/** The bucket's no: such as a ticket that ran out, where another one helps. */
const REFUSED = "UPLOAD_REFUSED";

function refusal(request) {
  const text = (name) => request.responseXML?.querySelector(name)?.textContent ?? "";
  return new Problem({
    status: request.status,
    error: REFUSED,
    message: `The bucket refused the upload: ${text("Message") || `it answered ${request.status}`}`,
    requestId: text("RequestId"),
  });
}

// --------------------------------------------------------------------------------------------------------- watching

let watching = 0;
/** A hundred pictures that are looked after at once are looked after less often each. */
const floor = () => watching * 100;

const GONE_FOR_GOOD = 15000; // milliseconds in which an upload, even one that was noticed late, shows on its item

/** Looks at an upload's item until its thumbnails are there, or something else has become of it. */
async function rendered({ id, sent, shown, changed, stopped: { signal } }) {
  const verdict = judge(sent);
  let last = sent.before.version;
  const look = async () => {
    const { data: item, etag } = await call("GET", itemPath(id), { signal });
    shown.say("Making thumbnails");
    if (item.version > last) changed(id, item, etag);
    last = item.version;
    return verdict(item);
  };
  watching += 1;
  try {
    const [how, what] = await poll(look, { signal, floor, trouble: (problem) => shown.say(waitingWords(problem)) });
    shown[how](what);
  } catch (problem) {
    if (!(problem instanceof Overdue)) throw problem;
    throw new Overdue({ message: "It is uploaded, but its thumbnails take longer than usual." });
  } finally {
    watching -= 1;
  }
}

/** What has become of an upload, of the item's states one after the other: how its entry ends, or undefined. */
function judge({ uploadId, before }) {
  let processing = false;
  let gone = null;
  return ({ version, image }) => {
    if (!image) {
      // It was removed, unless the upload has not been noted yet.
      gone ??= Date.now();
      return processing || Date.now() - gone > GONE_FOR_GOOD ? ["stop", "The picture was removed"] : undefined;
    }
    gone = null;
    processing ||= image.status === "processing";
    // Until the upload is noted, the item still shows what it had before. Ids of uploads go by their time.
    const shownId = image.status === "ready" ? new URL(image.url).pathname.split("/").pop() : "";
    if (shownId === uploadId) return ["done", "Ready"];
    if (shownId > uploadId) return ["stop", "Another picture took its place"];
    // A failure has no id. To be noted and to fail are two versions; before, it was another one's.
    const ours = processing || before.image?.status !== "failed" || version >= before.version + 2;
    return image.status === "failed" && ours && version > before.version ? ["fail", new Problem(image.error ?? { message: "It could not be read." })] : undefined;
  };
}

const UNSETTLED = ["pending", "processing"];

/** Follows a picture that something else uploads or renders, until it is ready, failed or gone. */
export async function follow(id, changed) {
  let last;
  const look = async () => {
    if (busy.has(id)) return true; // It is followed already.
    const { data: item, etag } = await call("GET", itemPath(id));
    const status = item.image?.status;
    if (status !== last) changed(id, item, etag);
    last = status;
    return !UNSETTLED.includes(status) || undefined;
  };
  try {
    // A ticket is good for 15 minutes.
    await poll(look, { seconds: 1200, floor: () => Math.max(2000, floor()) });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem; // Gone, or out of reach: the card stays as it is.
  }
}

addEventListener("session", () => token() || forgetAll());
