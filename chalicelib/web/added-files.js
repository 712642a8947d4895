// Files that the user chooses, drops or pastes: pictures to upload, and files to import.

import { currentView } from "./dialog.js";
import { pickFiles, targetOf } from "./dom.js";
import { importFile, isImportFile } from "./imports.js";
import { attachPicture, takePhoto } from "./item-actions.js";
import { openNewItem } from "./item-form.js";
import { loadNewer } from "./list-loading.js";
import { PICTURE_TYPES, pictureType } from "./picture-types.js";
import { createItemsOf } from "./pictures-form.js";

/** @param {File} file */
const startImport = (file) => importFile(file, loadNewer);

/**
 * Use files that were dropped or pasted. Pictures go to the open view, or to the card below them.
 * @param {File[]} files
 * @param {Element | null} target
 */
export function addFiles(files, target) {
  const pictures = files.filter((file) => !isImportFile(file));
  const view = currentView();
  const card = /** @type {HTMLElement | null | undefined} */ (target?.closest?.("#lists [data-id]"));
  if (view && pictures.length > 0) view.addFiles(pictures);
  else if (card?.dataset.id && pictures.length === 1) attachPicture(card.dataset.id, pictures);
  else createItemsOf(pictures);
  files.filter(isImportFile).forEach(startImport);
}

/** What the buttons with a `data-action` do. @type {Record<string, () => void>} */
export const actions = {
  new: openNewItem,
  pictures: () => pickFiles(PICTURE_TYPES, true, createItemsOf),
  photo: () => takePhoto((file) => createItemsOf([file])),
  import: () => pickFiles(".json,.ndjson,.jsonl", false, ([file]) => startImport(file)),
};

/** @type {Element | null} */
let dropTarget = null;

/** @param {Element | null} target what files are dragged over, or null */
function markDropTarget(target) {
  dropTarget?.classList.remove("target");
  dropTarget = target?.closest?.("#lists [data-id], #item") ?? null;
  dropTarget?.classList.add("target");
  document.body.classList.toggle("dropping", target !== null);
}

// console.js handles the drop.
addEventListener("dragover", (event) => event.defaultPrevented && markDropTarget(targetOf(event)));
addEventListener("dragleave", (event) => event.relatedTarget === null && markDropTarget(null));
addEventListener("drop", () => markDropTarget(null));

addEventListener("paste", (event) => {
  const clipboard = event.clipboardData;
  const files = [...(clipboard?.files ?? [])].filter((file) => pictureType(file) || isImportFile(file));
  // Copied text often comes with a picture of it. In a text field, the text is meant.
  const isText = targetOf(event).matches?.("input, textarea") && clipboard?.types.includes("text/plain");
  if (files.length === 0 || isText) return;
  event.preventDefault();
  addFiles(files.map(withTitle), null);
});

/** Rename a pasted file if it has the name that browsers give to every picture. @param {File} file */
function withTitle(file) {
  return file.name === "image.png" ? new File([file], "Pasted picture", { type: file.type }) : file;
}
