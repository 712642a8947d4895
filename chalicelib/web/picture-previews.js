// Previews of pictures that are uploaded, made by the browser from the user's own files.

import { h } from "./dom.js";
import { Slots } from "./slots.js";

const WIDTH = 800; // pixels, as of the thumbnail that replaces it
const slots = new Slots(2); // While it is decoded, a photograph takes 50 to 200 MB.

/**
 * Return the URL of a small copy of a picture, or null if the browser cannot decode it. The caller revokes the URL.
 * @param {File} file
 * @param {AbortSignal} signal
 * @returns {Promise<string | null>}
 */
export async function createPreview(file, signal) {
  try {
    const copy = await slots.run(() => smallCopy(file), signal);
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
