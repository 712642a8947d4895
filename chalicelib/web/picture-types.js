// Which files are pictures that the API accepts, and the error messages for others.

import { Problem } from "./api.js";

/** By a file name's extension. @type {Record<string, string>} */
const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", tif: "image/tiff",
  tiff: "image/tiff", avif: "image/avif", bmp: "image/bmp",
};

/** Without HEIC, so that an iPhone converts its pictures to JPEG. */
export const PICTURE_TYPES = Object.values(TYPES).join();

/** @param {File} file */
export const extensionOf = (file) => file.name.split(".").pop()?.toLowerCase() ?? "";

/**
 * Return a picture's content type if the API accepts it.
 * @param {File} file
 * @returns {string | undefined}
 */
export function pictureType(file) {
  return Object.values(TYPES).includes(file.type) ? file.type : TYPES[extensionOf(file)];
}

/**
 * Return the usual extension of a content type's files.
 * @param {string} type
 */
export const extensionOfType = (type) => Object.keys(TYPES).find((one) => TYPES[one] === type) ?? type.split("/")[1];

// The sentences of chalicelib/errors.py, with its names in braces, and names of
// chalicelib/pictures/unsupported_formats.py.
const UNSUPPORTED = "{kind} is not supported: save the picture as JPEG or PNG and upload that{hint}.";
const UNREADABLE =
  "This file is not a picture in a format that is recognised: upload one in JPEG, PNG, WebP, GIF, TIFF, AVIF or BMP.";
const TOO_LARGE = "A picture can be at most {limit} bytes; this one has {size}.";

/** @type {Record<string, string>} */
const KINDS = {
  heic: "HEIC", heif: "HEIC", jxl: "JPEG XL", jp2: "JPEG 2000", psd: "Photoshop (PSD)", eps: "PostScript (EPS)",
  pdf: "PDF", svg: "SVG", ico: "ICO", mp4: "Video", mov: "Video", dng: "Camera raw", nef: "Camera raw",
  cr2: "Camera raw", cr3: "Camera raw", arw: "Camera raw", raf: "Camera raw",
};
/** @type {Record<string, string>} */
const HINTS = { HEIC: "; on an iPhone: Settings, Camera, Formats, Most Compatible" };

/**
 * Return why a file is not uploaded, in the words of the API, or null.
 * @param {File} file
 * @returns {Problem | null}
 */
export function typeProblem(file) {
  if (pictureType(file)) return null;
  const kind = KINDS[extensionOf(file)] ?? KINDS[file.type.replace(/^\w+\/|\+xml$/g, "")];
  if (!kind) return new Problem({ message: UNREADABLE, error: "IMAGE_UNREADABLE" });
  const message = UNSUPPORTED.replace("{kind}", kind).replace("{hint}", HINTS[kind] ?? "");
  return new Problem({ message, error: "IMAGE_TYPE_UNSUPPORTED" });
}

/**
 * Return why a file is too large for the API, in its words, or null.
 * @param {File} file
 * @param {number} limit in bytes
 * @returns {Problem | null}
 */
export function sizeProblem({ size }, limit) {
  if (size <= limit) return null;
  const message = TOO_LARGE.replace("{limit}", String(limit)).replace("{size}", String(size));
  return new Problem({ message, status: 413, error: "IMAGE_TOO_LARGE" });
}
