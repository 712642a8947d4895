// Actions on an item's picture: attach it, remove it, download it.

import { Problem, call, itemPath } from "./api.js";
import { confirmWith } from "./dialog.js";
import { button, h, pickFiles, showErrorNotice } from "./dom.js";
import { nameOf } from "./field-metadata.js";
import { getStored, readItem, storedItem } from "./item-store.js";
import { PICTURE_TYPES, extensionOfType, pictureType } from "./picture-types.js";
import { uploadPicture } from "./uploads.js";

/** @param {(file: File) => void} onPick */
export const pickPicture = (onPick) => pickFiles(PICTURE_TYPES, false, ([file]) => onPick(file));

/** @param {(file: File) => void} onPick */
export const takePhoto = (onPick) => pickFiles("image/*", false, ([file]) => onPick(file), "environment");

/**
 * Have the user pick a picture for an item.
 * @param {string} id
 */
export const pickPictureFor = (id) => pickPicture((file) => uploadPicture(file, async () => id));

/**
 * Have the user take a photo for an item, with the camera of a phone.
 * @param {string} id
 */
export const takePhotoFor = (id) => takePhoto((file) => uploadPicture(file, async () => id));

/**
 * Upload the first file as an item's picture. Ask first if the item has one.
 * @param {string} id
 * @param {File[]} files
 */
export async function attachPicture(id, [file, ...others]) {
  if (others.length > 0) reportIgnoredFiles(others);
  if (pictureType(file) && hasPicture(id) && !(await confirmReplacing(id, file))) return;
  uploadPicture(file, async () => id);
}

/** @param {string} id */
const statusOf = (id) => getStored(id)?.item.image?.status ?? "";

/** @param {string} id */
const hasPicture = (id) => ["processing", "ready"].includes(statusOf(id));

/** @param {string} id @param {File} file */
function confirmReplacing(id, file) {
  const title = nameOf(storedItem(id));
  return confirmWith(`Replace the picture of “${title}” with ${file.name || "the pasted one"}?`, "Replace");
}

/**
 * Tell the user which files were not used.
 * @param {File[]} files
 */
export function reportIgnoredFiles(files) {
  const names = files.map(({ name }) => name).join(", ");
  const message = `Only the first file was used. Ignored: ${names}.`;
  showErrorNotice("An item has one picture", new Problem({ message }));
}

/**
 * Remove an item's picture if the user confirms.
 * @param {string} id
 */
export async function removePicture(id) {
  if (!(await confirmWith("Remove the picture? This cannot be undone.", "Remove"))) return;
  try {
    await call("DELETE", `${itemPath(id)}/image`);
    await readItem(id);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showErrorNotice("The picture was not removed", problem);
  }
}

const START_TIME = 10_000; // milliseconds in which a browser starts a download

/**
 * Return a button that downloads an item's original picture.
 * @param {Item} item
 */
export function downloadButton(item) {
  const element = button("Download", async () => {
    element.setAttribute("aria-busy", "true");
    try {
      await download(item);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showErrorNotice("The picture was not downloaded", problem);
    } finally {
      element.removeAttribute("aria-busy");
    }
  }, { "data-key": "download" });
  return element;
}

/** @param {Item} item */
async function download(item) {
  const { data } = await call("GET", itemPath(item.id)); // The URLs of the page may have expired.
  if (data.image?.status !== "ready") throw new Problem({ message: "The picture was removed or replaced." });
  const href = URL.createObjectURL(await contentOf(data.image.url));
  h("a", { href, download: fileName(nameOf(item), data.image.contentType) }).click();
  setTimeout(() => URL.revokeObjectURL(href), START_TIME);
}

/**
 * Return a file. A link to another host would ignore the name that it is to have (HTML, "Downloading resources").
 * @param {string} url
 */
async function contentOf(url) {
  const response = await fetch(url, { cache: "no-store" }).catch(() => null);
  if (response?.ok) return response.blob();
  throw new Problem({ message: navigator.onLine ? "The picture could not be loaded." : "You are offline." });
}

/**
 * Return a name that every file system accepts.
 * @param {string} name
 * @param {string} contentType
 */
export function fileName(name, contentType) {
  // eslint-disable-next-line no-control-regex -- Windows allows no control characters.
  const allowed = name.replace(/[\u0000-\u001f\\/:*?"<>|\s]+/g, " ").replace(/^[. ]+|[. ]+$/g, "");
  return `${[...allowed].slice(0, 100).join("") || "picture"}.${extensionOfType(contentType)}`;
}
