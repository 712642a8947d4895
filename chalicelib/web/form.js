// An item's form: its fields and its picture, to change them or to make a new item.

import { Problem, call, itemPath, newKey, same } from "./api.js";
import { close, current, show, whileBusy } from "./dialog.js";
import { $, announce, button, h, problemBox, time } from "./dom.js";
import { give, leftOut, pickPicture, remove, removePicture, uploadTo } from "./doing.js";
import { comparison, editor } from "./editor.js";
import { reveal, show as showCard, tokenForm } from "./gallery.js";
import { frame, keep, ownFields, picture, titleOf, toItem } from "./items.js";
import { canSignIn, signIn } from "./session.js";

/** Opens a form for a new item. */
export const newItem = () => editItem(null, null, { done: close });

/**
 * Opens a form for an item, or with null for a new one. `draft` are fields of it that are not saved yet; `key` is that
 * under which they were sent before; `done(id)` is called when somebody leaves the form, without an id for good.
 */
export function editItem(item, etag, { draft = null, key = null, done }) {
  let base = item ? ownFields(item) : {};
  let tag = etag;
  let chosen = null;
  let saving = false;
  let changedByHand = draft !== null;
  let keptForLater = false;
  const fields = editor(draft ?? (item ? base : { title: "" }), () => (changedByHand = true));
  const problems = h("div", { class: "problems" });
  const side = h("div", { class: "side" });
  const form = h("form", { class: "item-form", noValidate: true, onsubmit: submit }, side,
    h("div", { class: "middle" }, fields.element),
    h("div", { class: "actions" }, problems,
      item && button("Delete", removed, { class: "danger quiet-danger" }),
      h("span", { class: "space" }), button("Cancel", leave), h("button", { class: "primary" }, item ? "Save" : "Create")));
  let shown;
  const mine = { id: item?.id, kind: "editing", route: item ? toItem(item.id) : "#new", changed, take, leave, touched: () => !keptForLater && (saving || changedByHand || chosen !== null) };

  function changed(now) {
    item = now;
    drawSide(side, item, null);
  }

  function take(files) {
    if (item) return give(item.id, files);
    if (files.length > 1) leftOut(files.slice(1));
    chosen = files[0];
    drawSide(side, null, chosen);
    return undefined;
  }

  /** Leaves the form, unless that would lose something: then asks first. */
  function leave() {
    if (saving) return announce("It is being saved.");
    if (!mine.touched()) return done(item?.id);
    const discard = button("Discard", () => done(item?.id), { class: "danger" });
    problems.replaceChildren(h("div", { class: "asking", role: "alert" }, h("p", {}, "Your changes are not saved."),
      h("div", { class: "row" }, discard, button("Keep editing", stay))));
    return discard.focus();
  }

  function stay() {
    problems.replaceChildren();
    $(".primary", problems.parentElement).focus();
  }

  function removed() {
    close();
    remove(item.id);
  }

  async function submit(event) {
    event.preventDefault();
    let own;
    try {
      own = fields.read();
    } catch {
      return;
    }
    await attempt(() => (item ? replace(own) : create(own)), () => ({ own: fields.read(), etag: tag }));
  }

  /** Does what takes a while. What could be typed meanwhile would not be in what was sent: so nothing can be. */
  async function attempt(action, unsaved) {
    if (saving) return; // A key may still reach the button in the moment before it is out of reach.
    saving = true;
    problems.replaceChildren();
    try {
      await whileBusy(action);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      problems.replaceChildren(problemBox(problem), problem.signIn ? signInAgain(unsaved) : "");
    } finally {
      saving = false;
    }
  }

  /** What was typed survives the way to the issuer's page and back; a file cannot. */
  function signInAgain(unsaved) {
    if (!canSignIn) return tokenForm(() => problems.replaceChildren());
    const begin = () => {
      keptForLater = true; // Nothing to ask about on the way out.
      signIn({ item, key, ...unsaved() }).catch((failure) => {
        keptForLater = false;
        problems.replaceChildren(problemBox(failure));
      });
    };
    return h("div", { class: "row" }, button("Sign in again", begin, { class: "primary" }),
      chosen && h("p", { class: "note" }, "You will have to choose the picture again; everything else is kept."));
  }

  async function create(own) {
    // The same body under the same key makes one item, however often a broken line has it sent.
    if (!key || !same(key.own, own)) key = { own, value: newKey() };
    const made = await call("POST", "items", { body: own, headers: { "Idempotency-Key": key.value } });
    if (chosen) uploadTo(made.data.id, chosen);
    saved(made);
  }

  async function replace(own) {
    try {
      saved(await call("PUT", itemPath(item.id), { body: own, headers: tag ? { "If-Match": tag } : {} }));
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      await conflict(own);
    }
  }

  async function conflict(own) {
    const now = await call("GET", itemPath(item.id));
    const theirs = ownFields(now.data);
    keep(now.data, now.etag);
    const compared = comparison(base, theirs, own);
    const pictureAlone = same(base, theirs) || !compared.differs;
    tag = now.etag;
    base = theirs;
    if (pictureAlone) return replace(own);
    shown = { ...mine, changed() {} };
    show(shown, "Somebody else has changed this item", { parts: [
      conflictView(now.data, compared, problems, {
        edit: () => editItem(now.data, now.etag, { draft: compared.read(), done }),
        theirs: () => editItem(now.data, now.etag, { done }),
        save: () => attempt(() => replace(compared.read()), () => ({ item: now.data, own: compared.read(), etag: now.etag })),
      })] });
    return undefined;
  }

  function saved({ data, etag: next }) {
    if (item) keep(data, next);
    else showCard(data, next);
    reveal(data.id);
    changedByHand = false;
    if (current() !== shown) return undefined;
    announce(item ? "Saved" : `Created ${titleOf(data)}`);
    if (item) return done(data.id);
    shown.id = data.id; // Its card gets the focus.
    return close();
  }

  drawSide(side, item, null);
  shown = mine;
  show(mine, item ? titleOf(item) : "New item", { parts: [form] });
  // Of an item that is there, somebody may only want to look: no keyboard springs up on a phone.
  if (!item) $(".field textarea", form).focus();
}

function conflictView(now, compared, problems, { edit, theirs, save }) {
  return h("div", { class: "conflict-view" },
    h("p", {}, `It is now at version ${now.version}, saved `, time(now.updatedAt), ". Nothing you typed is lost."),
    compared.element,
    h("div", { class: "actions" }, problems, button("Keep editing", edit), h("span", { class: "space" }),
      button("Take all of theirs", theirs), button("Save this", save, { class: "primary" })));
}

// ---------------------------------------------------------------------------------------------------------- picture

/** Shows the picture beside the form: the item's, or one that was chosen for a new one. */
function drawSide(side, item, file) {
  const focused = side.contains(document.activeElement) && document.activeElement.dataset.key;
  side.replaceChildren(...(item ? pictureOf(item) : pictureOfNew(file)).filter(Boolean));
  if (focused !== false) ($(`[data-key="${focused}"]`, side) ?? $("button", side)).focus();
}

function pictureOf(item) {
  const image = item.image;
  const ready = image?.status === "ready";
  const large = h("div", { class: `frame large${ready ? " fitted" : ""}` },
    ready ? picture(item, { sizes: "(min-width: 50rem) 22rem, 90vw", whole: true }) : frame({ ...item, expiresAt: null }, titleOf(item)));
  if (ready) large.style.aspectRatio = `${image.width} / ${image.height}`;
  const replace = () => pickPicture((file) => uploadTo(item.id, file));
  return [
    large,
    image?.error && h("p", { class: "why" }, image.error.message),
    h("div", { class: "row" },
      button(image ? "Replace" : "Add picture", replace, { "aria-label": image && "Replace the picture", "data-key": "replace" }),
      image && image.status !== "pending" && button("Remove", () => removePicture(item.id), { "aria-label": "Remove the picture", "data-key": "remove" })),
  ];
}

function pictureOfNew(file) {
  const frameOfNew = h("div", { class: "frame large" });
  if (file) {
    const url = URL.createObjectURL(file);
    frameOfNew.append(h("img", { alt: "", src: url, onload: () => URL.revokeObjectURL(url) }));
  } else {
    frameOfNew.append(h("p", { class: "hint" }, "Drop or paste a picture"));
  }
  const choose = () => pickPicture((chosen) => current()?.take([chosen]));
  return [frameOfNew, h("div", { class: "row" }, button(file ? "Choose another" : "Choose a picture", choose, { "data-key": "choose" }))];
}
