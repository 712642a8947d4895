// The ways in: addresses and buttons that lead to items, files that are chosen, dropped or pasted.

import { call, newKey } from "./api.js";
import { close, current, enter, here, itemOf, onRoute } from "./dialog.js";
import { give, pick } from "./doing.js";
import { editItem, newItem } from "./form.js";
import { catchUp, reveal, show } from "./gallery.js";
import { keep } from "./items.js";
import { importFile, isImport } from "./imports.js";
import { view } from "./viewer.js";
import { PICTURES, pictureType, upload } from "./work.js";

export { finishDeleting } from "./doing.js";

// ----------------------------------------------------------------------------------------------------------- addresses

/** Opens what an address leads to. */
function open(route) {
  const id = itemOf(route);
  if (id) view(id);
  else if (route === "#new") newItem();
  else if (current()) close();
}

onRoute((route) => {
  const view = current();
  if (!view || !(view.touched() || route === "")) return open(route);
  view.leave(); // Asks where something would be lost, or goes back to the item.
  if (current()) enter(current().route);
  return undefined;
});

addEventListener("click", (event) => {
  const route = event.target.closest?.('a[href^="#"]')?.getAttribute("href");
  if (!route || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(route);
});

addEventListener("beforeunload", (event) => current()?.touched() && event.preventDefault());

/** Begins where the address leads, or with what somebody was typing when they left to sign in. */
export function begin(draft) {
  if (draft?.own) editItem(draft.item, draft.etag, { draft: draft.own, key: draft.key, done: (id) => (id ? view(id) : close()) });
  else open(draft?.route ?? here());
}

// --------------------------------------------------------------------------------------------------------------- files

/** Each picture becomes an item of its own, called as its file is. */
function addPictures(files) {
  for (const file of files) {
    const key = newKey(); // One for each file: tried again, it is the same item.
    const create = async () => {
      const title = (file.name || "Pasted picture").replace(/\.[^.]+$/, "");
      const made = await call("POST", "items", { body: { title }, headers: { "Idempotency-Key": key } });
      show(made.data, made.etag);
      reveal(made.data.id);
      return made.data.id;
    };
    upload(file, create, (_, item, etag) => keep(item, etag));
  }
}

const startImport = (file) => importFile(file, catchUp);

const pickPictures = () => pick(PICTURES, true, addPictures);
const pickImport = () => pick(".json,.ndjson,.jsonl", false, ([file]) => startImport(file));

/** Files that were dropped or pasted: to the open item, or to the card they fell on, or each to an item of its own. */
export function take(files, target) {
  const [imports, pictures] = [files.filter(isImport), files.filter((file) => !isImport(file))];
  const id = target?.closest?.(".card[data-id]")?.dataset.id;
  if (current() && pictures.length > 0) current().take(pictures);
  else if (id && pictures.length === 1) give(id, pictures);
  else addPictures(pictures);
  imports.forEach(startImport);
}

// -------------------------------------------------------------------------------------------------- dropped, pasted

let under = null;

function mark(target) {
  under?.classList.remove("target");
  under = target?.closest?.(".card[data-id], #item") ?? null;
  under?.classList.add("target");
  document.body.classList.toggle("dropping", target !== null);
}

// That files may be dropped, and where they go then, console.js says.
addEventListener("dragover", (event) => event.defaultPrevented && mark(event.target));
addEventListener("dragleave", (event) => event.relatedTarget === null && mark(null));
addEventListener("drop", () => mark(null));
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => pictureType(file) || isImport(file));
  // Text copied from a document often comes with a picture of itself: where text goes, the text is meant.
  const typing = event.target.matches?.("input, textarea") && [...event.clipboardData.types].includes("text/plain");
  if (files.length === 0 || typing) return;
  event.preventDefault();
  take(files.map(named), null);
});

/** A picture copied from another page comes as "image.png", whatever it shows. */
const named = (file) => (file.name === "image.png" ? new File([file], "Pasted picture", { type: file.type }) : file);

/** What the buttons do that name one of these. */
export const actions = { new: newItem, pictures: pickPictures, import: pickImport };
