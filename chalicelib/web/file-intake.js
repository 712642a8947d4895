// Takes in the files that the user chooses, drops or pastes: pictures to upload, and files to import. Also what the
// page's buttons with a `data-action` do, most of which choose files.

import { currentView } from "./dialog.js";
import { pickFiles, targetOf } from "./dom.js";
import { attachPicture, takePhoto } from "./item-pictures.js";
import { loadCatalogue, loadExports, loadForm, loadImports } from "./lazy-modules.js";
import { PICTURE_TYPES, extensionOf, pictureType } from "./picture-types.js";

/**
 * Return whether a file is to be imported.
 * @param {File} file
 */
export const isImportFile = (file) => ["json", "ndjson", "jsonl", "csv", "tsv"].includes(extensionOf(file));

const openNewItem = async () => (await loadForm()).openNewItem();

/** @param {File[]} files */
const createItemsOf = async (files) => (await loadForm()).createItemsOf(files);

/** @param {File[]} files */
const importFiles = async (files) => (await loadImports()).importFiles(files);

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
  const imports = files.filter(isImportFile);
  if (imports.length > 0) importFiles(imports);
}

/** What the buttons with a `data-action` do. @type {Record<string, () => void>} */
export const actions = {
  new: openNewItem,
  pictures: () => pickFiles(PICTURE_TYPES, true, createItemsOf),
  photo: () => takePhoto((file) => createItemsOf([file])),
  import: () => pickFiles(".csv,.tsv,.json,.ndjson,.jsonl", false, importFiles),
  export: async () => (await loadExports()).openExport(),
  catalogue: async () => (await loadCatalogue()).openCatalogue(),
};

/** @type {Element | null} */
let dropTarget = null;

/** @param {Element | null} target the element that files are dragged over, or null */
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
  if (!clipboard) return;
  // Text copied from a spreadsheet, for example, comes with a picture of it. In a text field, the user wants the text.
  const text = clipboard.getData("text/plain");
  if (text && targetOf(event).matches?.("input, textarea")) return;
  const rows = rowsFile(text);
  const files = rows ? [rows] : [...clipboard.files].filter((file) => pictureType(file) || isImportFile(file));
  if (files.length === 0) return;
  event.preventDefault();
  addFiles(files.map(withTitle), null);
});

/**
 * Return pasted text as a file to import, or null if it is no such file: rows of a spreadsheet, CSV, or lines of JSON.
 * @param {string} text
 */
export function rowsFile(text) {
  const [first, second] = text.split(/\r?\n/).filter(Boolean);
  const countOf = (/** @type {string} */ line, /** @type {string} */ delimiter) => line.split(delimiter).length;
  const isTable = second && ["\t", ";", ","].some((delimiter) =>
    countOf(first, delimiter) > 1 && countOf(first, delimiter) === countOf(second, delimiter));
  if (/^\s*[[{]/.test(text)) return new File([text], "pasted.ndjson");
  return isTable ? new File([text], "pasted.csv") : null;
}

/** Rename a pasted file if it has the name that browsers give to every picture. @param {File} file */
function withTitle(file) {
  return file.name === "image.png" ? new File([file], "Pasted picture", { type: file.type }) : file;
}
