// Actions on an item: attach or remove its picture, delete it, undo that.

import { Problem, call, ifMatch, itemPath } from "./api.js";
import { closeDialog, confirmWith } from "./dialog.js";
import { $, announce, button, pickFiles, showErrorNotice, showNotice, targetOf } from "./dom.js";
import { isEqual } from "./exact-json.js";
import { hideCard, removeCard, restoreCard } from "./gallery.js";
import { ownFields } from "./item-fields.js";
import { nameOf } from "./item-name.js";
import { getStored, pendingDeletes, removeStored, storeItem, storedItem } from "./item-store.js";
import { PICTURE_TYPES, pictureType, uploadPicture } from "./uploads.js";

/** @param {(file: File) => void} onPick */
export const pickPicture = (onPick) => pickFiles(PICTURE_TYPES, false, ([file]) => onPick(file));

/**
 * Have the user pick a picture for an item.
 * @param {string} id
 */
export const pickPictureFor = (id) => pickPicture((file) => uploadPicture(file, async () => id));

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
    const { data, etag } = await call("GET", itemPath(id));
    storeItem(data, etag);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showErrorNotice("The picture was not removed", problem);
  }
}

const UNDO_TIME = 8000; // milliseconds

/** Deletions that can be undone, by item. @type {Map<string, PendingDelete>} */
const undoable = new Map();

/** A hidden item, which is deleted when the time to undo that has passed. */
class PendingDelete {
  /** @param {Item} item */
  constructor(item) {
    this.item = item;
    this.notice = showNotice(`Deleted ${nameOf(item)}`, button("Undo", () => this.undo()));
    this.timer = this.startTimer();
  }

  startTimer() {
    // It is extended while the user is at the notice (WCAG 2.2, 2.2.1).
    return setTimeout(() => {
      if (this.notice.isInUse()) this.timer = this.startTimer();
      else this.finish();
    }, UNDO_TIME);
  }

  close() {
    clearTimeout(this.timer);
    undoable.delete(this.item.id);
    this.notice.close();
  }

  undo() {
    this.close();
    $("a", restoreCard(this.item.id)).focus();
  }

  /** Delete the item now. @param {CallOptions} [options] */
  finish(options) {
    this.close();
    return deleteNow(this.item, options);
  }
}

/**
 * Close the dialog and delete its item, which can be undone for some seconds.
 * @param {string} id
 */
export function deleteItem(id) {
  const item = getStored(id)?.item;
  closeDialog();
  if (!item || pendingDeletes.has(id)) return;
  pendingDeletes.add(id);
  undoable.set(id, new PendingDelete(item));
  const neighbour = hideCard(id);
  announce(`Deleted ${nameOf(item)}. Press Control+Z to undo.`);
  (neighbour ? $("a", neighbour) : $("#new")).focus();
}

/** @param {Item} item @param {CallOptions} [options] */
async function deleteNow(item, options) {
  const { id } = item;
  try {
    await deleteUnlessChanged(id, ownFields(item), options);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status !== 404) {
      restoreCard(id);
      showErrorNotice(`${nameOf(item)} was not deleted`, problem);
      return;
    }
  }
  removeCard(id);
  removeStored(id);
  pendingDeletes.delete(id);
}

/**
 * Delete an item unless its fields have changed.
 * @param {string} id
 * @param {Fields} fields as the user saw them
 * @param {CallOptions} [options]
 */
async function deleteUnlessChanged(id, fields, options) {
  for (;;) {
    try {
      return await call("DELETE", itemPath(id), { headers: ifMatch(getStored(id)?.etag), ...options });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
    }
    const { data, etag: newEtag } = await call("GET", itemPath(id));
    storeItem(data, newEtag);
    if (!isEqual(ownFields(data), fields)) {
      const message = "Someone else changed this item. Delete it again if you still want to.";
      throw new Problem({ status: 412, message });
    }
  }
}

/** Delete all items now that could be restored. */
export const finishDeletes = () => Promise.all([...undoable.values()].map((one) => one.finish()));

addEventListener("keydown", (event) => {
  const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
  const last = [...undoable.values()].at(-1);
  if (!isUndo || !last || targetOf(event).matches("input, textarea")) return;
  event.preventDefault();
  last.undo();
});

addEventListener("pagehide", () => {
  for (const [id, one] of undoable) {
    // Send no If-Match while thumbnails are made: they change the entity tag, and a closing page cannot retry after
    // a 412.
    const isRendering = ["pending", "processing"].includes(statusOf(id));
    one.finish({ keepalive: true, ...(isRendering && { headers: {} }) });
  }
});
