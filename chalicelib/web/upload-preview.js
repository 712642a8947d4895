// What the frames of items show of uploads from this page: a preview of the picture, and the state of its upload.

import { $, h } from "./dom.js";

/** The uploads that are shown, by the item's id. @type {Map<string, ShownUpload>} */
const uploads = new Map();

/** @param {string} id */
export const shownUpload = (id) => uploads.get(id);

/**
 * Have a frame show the upload to an item, now and when it changes. Return the frame.
 * @param {HTMLElement} frame
 * @param {string} id
 */
export function withUpload(frame, id) {
  frame.dataset.item = id;
  draw(frame, uploads.get(id));
  return frame;
}

/**
 * Show an upload to an item in its frames. The document gets the event `upload`, also when the upload is hidden.
 * @param {string} id
 * @param {ShownUpload} upload
 */
export function showUpload(id, upload) {
  uploads.set(id, upload);
  framesOf(id).forEach((frame) => draw(frame, upload));
  document.dispatchEvent(new Event("upload"));
}

/**
 * Show the item's own picture instead of an upload. Resolve when every frame has loaded it.
 * @param {string} id
 */
export async function hideUpload(id) {
  if (!uploads.delete(id)) return;
  document.dispatchEvent(new Event("upload"));
  await Promise.all(framesOf(id).map(async (frame) => {
    await loadPicture(frame);
    if (!uploads.has(id)) draw(frame, undefined);
  }));
}

/** @param {string} id @returns {HTMLElement[]} */
const framesOf = (id) => [...document.querySelectorAll(`.frame[data-item="${CSS.escape(id)}"]`)].map((one) =>
  /** @type {HTMLElement} */ (one));

/** Load the frame's own picture, also if it is out of view. @param {HTMLElement} frame */
async function loadPicture(frame) {
  const picture = $("img:not(.preview)", frame);
  if (!picture) return;
  picture.loading = "eager";
  await picture.decode().catch(() => {}); // If it cannot be loaded, the frame shows that.
}

/** @param {HTMLElement} frame @param {ShownUpload | undefined} upload */
function draw(frame, upload) {
  frame.classList.toggle("uploading", upload !== undefined);
  const [preview, chip] = [$(".preview", frame), $(".upload-state", frame)];
  if (!upload?.url) preview?.remove();
  else if (!preview) frame.append(h("img", { class: "preview", alt: "", src: upload.url }));
  else if (preview.src !== upload.url) preview.src = upload.url;
  if (!upload) chip?.remove();
  else drawState(chip ?? frame.appendChild(h("span")), upload);
}

/** @param {HTMLElement} chip @param {ShownUpload} upload */
function drawState(chip, { text, state, problem }) {
  chip.className = `chip upload-state ${state}`;
  chip.title = problem?.message ?? "";
  chip.textContent = text;
}
