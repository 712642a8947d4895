// What is done to items outside their forms: giving a picture, taking it off, deleting.

import { Problem, call, itemPath, same } from "./api.js";
import { ask } from "./dialog.js";
import { $, announce, button, h, task } from "./dom.js";
import { comeBack, drop, hide } from "./gallery.js";
import { forget, keep, known, leaving, ownFields, titleOf } from "./items.js";
import { PICTURES, pictureType, upload } from "./work.js";

// ------------------------------------------------------------------------------------------------------------ pictures

/** Has somebody choose files of these types; `then(files)` is not called when they choose none. */
export function pick(accept, multiple, then) {
  const input = h("input", { type: "file", accept, multiple });
  input.addEventListener("change", () => input.files.length > 0 && then([...input.files]));
  input.click();
}

export const pickPicture = (then) => pick(PICTURES, false, ([file]) => then(file));

export function uploadTo(id, file) {
  return upload(file, async () => id, (_, item, etag) => keep(item, etag));
}

/** Gives an item the first of the files that were dropped on it, or pasted; asks before a picture is replaced. */
export async function give(id, [file, ...others]) {
  if (others.length > 0) leftOut(others);
  const item = known(id)?.item;
  const has = ["processing", "ready"].includes(item?.image?.status);
  if (has && pictureType(file) && !(await ask(`Replace the picture of “${titleOf(item)}” with ${file.name || "the pasted one"}?`, "Replace"))) return;
  uploadTo(id, file);
}

/** Says that an item has taken only one of several files. */
export function leftOut(files) {
  const names = files.map(({ name }) => name).join(", ");
  task("An item has one picture").fail(new Problem({ message: `Only the first file was taken. Left out: ${names}.` }));
}

/** Takes an item's picture off, having asked. */
export async function removePicture(id) {
  if (!(await ask("Remove the picture? It cannot be brought back.", "Remove"))) return;
  try {
    await call("DELETE", `${itemPath(id)}/image`);
    const { data, etag } = await call("GET", itemPath(id));
    keep(data, etag);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    task("The picture was not removed").fail(problem);
  }
}

// ------------------------------------------------------------------------------------------------------------ deleting

const UNDO_MS = 8000;

/** Items that may still come back, by id: `{finish(options), undo()}`. */
const undoable = new Map();

/** Takes an item away at once, and deletes it when the time to undo is over, or the page is left. */
export function remove(id) {
  const { item } = known(id) ?? {};
  if (!item || leaving.has(id)) return;
  let timer;
  const undo = () => {
    settle();
    $("a", comeBack(id)).focus();
  };
  const shown = task(`Deleted ${titleOf(item)}`, button("Undo", undo));
  /** Nothing can be undone any more: because it was, or because the API is being asked. */
  const settle = () => {
    clearTimeout(timer);
    undoable.delete(id);
    shown.close();
  };
  const finish = (options) => {
    settle();
    return deleteNow(id, item, options);
  };
  // Whoever is at it gets more time (WCAG 2.2, 2.2.1).
  const due = () => (shown.attended() ? later() : finish());
  const later = () => (timer = setTimeout(due, UNDO_MS));
  later();
  leaving.add(id);
  undoable.set(id, { finish, undo });
  const next = hide(id);
  announce(`Deleted ${titleOf(item)}. Press Control+Z to undo.`);
  (next ? $("a", next) : $("#new")).focus();
}

async function deleteNow(id, seen, options) {
  try {
    await deleteAsSeen(id, ownFields(seen), options);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status !== 404) {
      comeBack(id);
      task(`${titleOf(seen)} was not deleted`).fail(problem);
      return;
    }
  }
  drop(id);
  forget(id);
  leaving.delete(id);
}

/** Deletes an item unless somebody has changed its fields; its picture, and what is made of it, may have changed. */
async function deleteAsSeen(id, seen, options) {
  for (;;) {
    const tag = known(id).etag;
    try {
      return await call("DELETE", itemPath(id), { headers: tag ? { "If-Match": tag } : {}, ...options });
    } catch (problem) {
      if (problem.status !== 412) throw problem;
    }
    const { data, etag } = await call("GET", itemPath(id));
    keep(data, etag);
    if (!same(ownFields(data), seen)) throw new Problem({ status: 412, message: "Somebody else has changed it in the meantime. Delete it again if you still want to." });
  }
}

/** Deletes right now whatever waits to be deleted. */
export const finishDeleting = (options) => Promise.all([...undoable.values()].map(({ finish }) => finish(options)));

addEventListener("keydown", (event) => {
  const last = [...undoable.values()].at(-1);
  if (!last || event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.target.matches("input, textarea")) return;
  event.preventDefault();
  last.undo();
});

addEventListener("pagehide", () => {
  for (const [id, { finish }] of undoable) {
    // Nobody will be here to try again when a picture's rendering gives the item another tag.
    const rendering = ["pending", "processing"].includes(known(id).item.image?.status);
    finish({ keepalive: true, ...(rendering && { headers: {} }) });
  }
});
