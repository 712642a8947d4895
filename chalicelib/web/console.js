// The console: a gallery of items, and what can be done with them.

import { Problem, call, isNumber, itemPath, newKey, same, write } from "./api.js";
import { $, announce, button, bytes, h, problemBox, task, time } from "./dom.js";
import { comparison, editor, ownFields } from "./editor.js";
import { canSignIn, person, returned, root, setToken, signIn, signOut, token } from "./session.js";
import { PICTURES, busy, follow, importFile, isImport, pictureType, upload } from "./work.js";

const UNDO_MS = 8000;

/** What is shown, by id: `{item, etag, card}`; the tag is null until the item was read by itself. */
const known = new Map();
/** Ids of items on their way out: known, and not shown. */
const leaving = new Set();
/** Those of them that may still come back, by id: `{finish(options), undo()}`. */
const undoable = new Map();

const gallery = $("#gallery");
const state = $("#state");
let cursor = null;
let loading = false;
/** Whether the last answer was a refusal: then nothing is asked for until somebody says so, or the line is back. */
let failed = false;

// ---------------------------------------------------------------------------------------------------------- gallery

async function load({ afresh = false } = {}) {
  if (loading) return;
  loading = true;
  failed = false;
  if (afresh) cursor = null;
  if (known.size === 0) skeletons();
  gallery.setAttribute("aria-busy", "true");
  $("#more").hidden = true;
  $("#more-state").replaceChildren();
  try {
    const { data } = await call("GET", `items?limit=24${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    if (!cursor) clear();
    cursor = data.nextCursor;
    for (const item of data.items) put(item, null);
    showState();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    failed = true;
    showProblem(problem);
  } finally {
    loading = false;
    gallery.removeAttribute("aria-busy");
    $("#more").hidden = !cursor || failed;
  }
}

function clear() {
  for (const id of known.keys()) if (!leaving.has(id)) known.delete(id);
  gallery.replaceChildren();
}

function skeletons() {
  state.replaceChildren();
  gallery.replaceChildren(...Array.from({ length: 8 }, () => h("li", { class: "card skeleton", "aria-hidden": "true" }, h("div", { class: "frame" }))));
}

function showState() {
  state.replaceChildren();
  if ([...known.keys()].some((id) => !leaving.has(id))) return;
  gallery.replaceChildren();
  state.append(h("div", { class: "empty" },
    h("h2", {}, "Nothing on show yet"),
    h("p", {}, "Drop pictures anywhere on this page and each becomes an item, or begin with one item’s fields."),
    h("div", { class: "row" }, button("New item", newItem, { class: "primary" }), button("Add pictures", pickPictures), button("Import a file", pickImport))));
}

function showProblem(problem) {
  if (known.size === 0) gallery.replaceChildren();
  if (problem.signIn) return showSignIn(problem);
  // Beside what it is about: whoever has scrolled to the end does not see what is above the gallery.
  (cursor ? $("#more-state") : state).replaceChildren(problemBox(problem, button("Try again", () => load())));
  return undefined;
}

/** Offers the issuer's page, or a field for a token where the console does not know of any. */
function showSignIn(problem) {
  const trouble = h("div");
  const begin = () => signIn().catch((failure) => trouble.replaceChildren(problemBox(failure)));
  const words = !token() ? "This stage shows its items to people it knows." : canSignIn ? "Your session is over." : "The token was not accepted: it may be over, or of another issuer.";
  state.replaceChildren(h("div", { class: "sign-in" },
    h("h2", {}, "Sign in to see the items"), h("p", {}, words),
    canSignIn && h("div", { class: "row" }, button("Sign in", begin, { class: "primary" })), trouble,
    canSignIn ? h("details", {}, h("summary", {}, "Use a token instead"), tokenForm()) : tokenForm(),
    problem.requestId && h("p", { class: "request" }, `${problem.error} · request `, h("code", {}, problem.requestId))));
  if (state.contains(document.activeElement) || document.activeElement === document.body) $("button, input", state).focus();
}

function tokenForm() {
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: false, id: "token" });
  const submit = (event) => {
    event.preventDefault();
    setToken(input.value);
    showSession();
    load({ afresh: true });
  };
  return h("form", { class: "token-form", onsubmit: submit },
    h("label", { htmlFor: "token" }, "Bearer token"), input,
    h("p", { class: "note" }, "It stays in this tab, and goes when the tab does."),
    h("div", { class: "row" }, h("button", {}, "Use it")));
}

/** Notes what an item is now, and shows it: in place of what was shown of it, else where the order of ids has it. */
function put(item, etag) {
  const before = known.get(item.id);
  const card = cardOf(item);
  known.set(item.id, { item, etag: etag ?? (before?.item.version === item.version ? before.etag : null), card });
  if (leaving.has(item.id)) return;
  if (before?.card.isConnected) before.card.replaceWith(card);
  else place(card);
  if (before && before.card.contains(document.activeElement)) $("button", card).focus();
  if (item.image?.status === "processing" && !busy.has(item.id)) followOnce(item.id);
}

/** Ids sort by the time of their making, and the newest is first. */
function place(card) {
  const before = [...gallery.children].findLast((other) => other.dataset.id > card.dataset.id);
  if (before) before.after(card);
  else gallery.prepend(card);
}

/** Pictures that something else renders: followed until they are there. */
const followed = new Set();

function followOnce(id) {
  if (followed.has(id)) return;
  followed.add(id);
  follow(id, changed).finally(() => followed.delete(id));
}

/** An item has a new state: shows it in the gallery, and in the dialog if that is about it. */
function changed(id, item, etag) {
  if (known.has(id)) put(item, etag);
  if (open?.id === id) open.pictured(item);
}

// ------------------------------------------------------------------------------------------------------------- card

const isText = (value) => typeof value === "string" && value.trim() !== "" && !isNumber(value);

/** What an item is called: the first of these fields that is a text, else its id. */
function titleOf(item) {
  return ["title", "name", "label"].map((name) => item[name]).find(isText) ?? item.id;
}

function cardOf(item) {
  const title = titleOf(item);
  const rest = Object.entries(ownFields(item)).filter(([name, value]) => value !== title && isPlain(value) && name !== "expiresAt");
  return h("li", { class: "card", "data-id": item.id },
    h("div", { class: "frame" }, frame(item, title)),
    h("h2", {}, button(title, () => openItem(item.id))),
    rest.length > 0 && h("p", { class: "facts" }, rest.slice(0, 3).map(([name, value]) => h("span", {}, h("b", {}, name), ` ${said(value)}`))),
    h("p", { class: "when" }, time(item.createdAt), item.expiresAt && h("span", {}, " · until ", time(item.expiresAt))));
}

const isPlain = (value) => value !== null && typeof value !== "object" && value !== "";
const said = (value) => (typeof value === "boolean" ? (value ? "yes" : "no") : isNumber(value) ? write(value) : String(value));

const STATUS = { pending: "No picture yet", processing: "Making thumbnails", failed: "Picture failed" };

function frame(item, title) {
  const image = item.image;
  if (image?.status === "ready") return picture(item, "(min-width: 40rem) 15rem, 45vw");
  const letter = h("span", { class: "letter", "aria-hidden": "true" }, [...title][0].toUpperCase());
  letter.style.setProperty("--hue", [...item.id].reduce((sum, one) => (sum * 31 + one.codePointAt(0)) % 360, 7));
  return [letter, image && h("span", { class: `chip ${image.status}`, title: image.error?.message }, STATUS[image.status])];
}

/** An item's picture, in the size that fits; when its URLs have run out, it is read again, once. */
function picture(item, sizes) {
  const thumbnails = item.image.thumbnails ?? [];
  const renew = async () => {
    const { data, etag } = await call("GET", itemPath(item.id));
    if (data.image?.status === "ready" && data.updatedAt === item.updatedAt) shown.src = data.image.thumbnails[0]?.url;
    else changed(item.id, data, etag);
  };
  const shown = h("img", {
    alt: "", loading: "lazy", decoding: "async", sizes,
    srcset: thumbnails.map(({ url, width }) => `${url} ${width}w`).join(", "),
    src: thumbnails[0]?.url ?? item.image.url,
  });
  shown.addEventListener("error", () => {
    shown.removeAttribute("srcset");
    renew().catch(() => {});
  }, { once: true });
  return shown;
}

// ----------------------------------------------------------------------------------------------------------- dialog

/** What the dialog is about: `{id, pictured(item), take(files), leave()}`, or null. */
let open = null;
const dialog = $("#item");

async function openItem(id) {
  // Until it is there, somebody may have closed the dialog, and opened it for something else.
  const opening = (open = { id, pictured() {}, take() {}, leave: () => dialog.close() });
  const shown = known.get(id)?.item;
  showDialog(titleOf(shown ?? { id }), h("p", { class: "loading" }, "Loading…"));
  try {
    const { data, etag } = await call("GET", itemPath(id));
    if (known.has(id)) put(data, etag);
    if (open === opening) editItem(data, etag);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 404) known.get(id)?.card.remove();
    if (open === opening) showDialog("This item cannot be shown", problemBox(problem));
  }
}

function newItem() {
  editItem(null, null);
}

function showDialog(title, ...content) {
  $("h2", dialog).textContent = title;
  $(".content", dialog).replaceChildren(...content);
  if (dialog.open) return;
  dialog.showModal();
  dialog.append($("#tray")); // Beside a modal dialog nothing can be reached.
}

/** Fills the dialog with an item to change, or with a new one; `draft` are fields of it that are not saved yet. */
function editItem(item, etag, draft = null, firstKey = null) {
  let base = item ? ownFields(item) : {};
  let tag = etag;
  let key = firstKey;
  let chosen = null;
  const fields = editor(draft ?? (item ? base : { title: "" }), () => (touched = true));
  let touched = draft !== null;
  let saving = false;
  const problems = h("div", { class: "problems" });
  const side = h("div", { class: "side" });
  const save = h("button", { class: "primary" }, item ? "Save" : "Create");
  const middle = h("div", { class: "middle" }, fields.element);
  const form = h("form", { class: "item-form", noValidate: true, onsubmit: submit }, side, middle,
    h("div", { class: "actions" }, problems,
      item && button("Delete", () => remove(item.id), { class: "danger" }),
      h("span", { class: "space" }), button("Cancel", leave), save));

  function pictured(now) {
    item = now;
    side.replaceChildren(...sideOf(item));
  }

  function take([file]) {
    if (item) return uploadTo(item.id, file);
    chosen = file;
    side.replaceChildren(...sideOfNew(file));
    return undefined;
  }

  /** Closes the dialog, unless that would lose something: then asks first. */
  function leave() {
    if (saving) return undefined;
    if (!touched && !chosen) return dialog.close();
    const discard = button("Discard", () => dialog.close(), { class: "danger" });
    problems.replaceChildren(h("div", { class: "asking", role: "alert" }, h("p", {}, "Your changes are not saved."),
      h("div", { class: "row" }, discard, button("Go on editing", () => problems.replaceChildren()))));
    discard.focus();
    return undefined;
  }

  async function submit(event) {
    event.preventDefault();
    let own;
    try {
      own = fields.read();
    } catch {
      return;
    }
    await attempt(() => (item ? replace(own) : create(own)));
  }

  /** Does what takes a while. What could be typed meanwhile would not be in what was sent: so nothing can be. */
  async function attempt(action) {
    const content = $(".content", dialog);
    const focused = document.activeElement;
    saving = true;
    content.inert = true;
    problems.replaceChildren();
    try {
      await action();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      problems.replaceChildren(problemBox(problem, problem.signIn && canSignIn && button("Sign in again", again)));
    } finally {
      saving = false;
      content.inert = false;
      if (document.activeElement === document.body || document.activeElement === dialog) focused.focus();
    }
  }

  /** What was typed survives the way to the issuer's page and back. */
  function again() {
    signIn({ item, etag: tag, own: fields.read(), key }).catch((failure) => problems.replaceChildren(problemBox(failure)));
  }

  async function create(own) {
    // The same body under the same key makes one item, however often a broken line has it sent.
    if (!key || !same(key.own, own)) key = { own, value: newKey() };
    const made = await call("POST", "items", { body: own, headers: { "Idempotency-Key": key.value } });
    saved(made);
    if (chosen) uploadTo(made.data.id, chosen);
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
    changed(item.id, now.data, now.etag);
    tag = now.etag;
    const compared = comparison(base, theirs, own);
    // Where only the picture has changed meanwhile, there is nothing to ask.
    if (same(base, theirs) || !compared.differs) return replace(own);
    base = theirs;
    const settle = () => attempt(() => replace(compared.read()));
    const back = () => editItem(now.data, now.etag, compared.read());
    showDialog("Somebody else has changed this item",
      h("div", { class: "conflict-view" },
        h("p", {}, `It is at version ${now.data.version} now, saved `, time(now.data.updatedAt), ". Nothing of yours is lost."),
        compared.element, problems,
        h("div", { class: "actions" }, button("Edit further", back), h("span", { class: "space" }),
          button("Take all of theirs", () => editItem(now.data, now.etag)), button("Save this", settle, { class: "primary" }))));
    return undefined;
  }

  function saved({ data, etag: next }) {
    put(data, next);
    state.replaceChildren();
    dialog.close();
    known.get(data.id)?.card.querySelector("button").focus();
  }

  open = { id: item?.id, pictured, take, leave };
  side.replaceChildren(...(item ? sideOf(item) : sideOfNew(null)));
  showDialog(item ? titleOf(item) : "New item", form);
  // Of an item that is there, somebody may only want to look: no keyboard springs up on a phone.
  if (!item) $(".field textarea", form).focus();
}

function sideOf(item) {
  const image = item.image;
  const ready = image?.status === "ready";
  const large = h("div", { class: `frame large${ready ? " fitted" : ""}` }, ready ? picture(item, "(min-width: 50rem) 22rem, 90vw") : frame(item, titleOf(item)));
  if (ready) large.style.aspectRatio = `${image.width} / ${image.height}`;
  return [
    large,
    image?.error && h("p", { class: "why" }, image.error.message),
    h("div", { class: "row" },
      button(image ? "Replace" : "Add picture", () => pick(PICTURES, false, ([file]) => uploadTo(item.id, file)), { "aria-label": image && "Replace the picture" }),
      ready && h("a", { class: "button", href: image.url, target: "_blank", rel: "noopener" }, "Original"),
      image && image.status !== "pending" && button("Remove", () => removePicture(item.id), { "aria-label": "Remove the picture" })),
    h("dl", {},
      fact("Id", h("code", {}, item.id)), fact("Version", String(item.version)),
      fact("Created", time(item.createdAt)), fact("Changed", time(item.updatedAt)),
      ready && fact("Picture", `${image.width} × ${image.height}, ${bytes(image.bytes)}`)),
  ].filter(Boolean);
}

function sideOfNew(file) {
  const frame = h("div", { class: "frame large" });
  if (file) {
    const url = URL.createObjectURL(file);
    frame.append(h("img", { alt: "", src: url, onload: () => URL.revokeObjectURL(url) }));
  } else {
    frame.append(h("p", { class: "hint" }, "Drop or paste a picture"));
  }
  return [frame, h("div", { class: "row" }, button(file ? "Another picture" : "Choose a picture", () => pick(PICTURES, false, (files) => open.take(files))))];
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

dialog.addEventListener("close", () => {
  // Its card may be another one by now than that which opened it.
  const lost = document.activeElement === document.body || dialog.contains(document.activeElement);
  if (lost) known.get(open?.id)?.card.querySelector("button").focus();
  open = null;
  document.body.append($("#tray"));
  $(".content", dialog).replaceChildren();
});
const leave = () => (open ? open.leave() : dialog.close());
$(".close", dialog).addEventListener("click", leave);
// A browser lets the first "cancel" be prevented and closes at the next, whatever is typed: so the key is taken before.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !dialog.open || event.isComposing) return;
  event.preventDefault();
  leave();
}, { capture: true });
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  leave();
});

// ------------------------------------------------------------------------------------------------------------ doing

function uploadTo(id, file) {
  upload(file, async () => id, changed);
}

/** Each picture becomes an item of its own, called as its file is. */
function addPictures(files) {
  for (const file of files) {
    const key = newKey(); // One for each file: tried again, it is the same item.
    const create = async () => {
      const title = (file.name || "Pasted picture").replace(/\.[^.]+$/, "");
      const made = await call("POST", "items", { body: { title }, headers: { "Idempotency-Key": key } });
      state.replaceChildren();
      put(made.data, made.etag);
      return made.data.id;
    };
    upload(file, create, changed);
  }
}

async function removePicture(id) {
  try {
    await call("DELETE", `${itemPath(id)}/image`);
    const { data, etag } = await call("GET", itemPath(id));
    changed(id, data, etag);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    task("The picture was not removed").fail(problem);
  }
}

/** Takes an item away at once, and deletes it when the time to undo is over, or the page is left. */
function remove(id) {
  const { item, card } = known.get(id) ?? {};
  dialog.close();
  if (!item || leaving.has(id)) return;
  const next = card.nextSibling;
  const undo = () => {
    settle();
    comeBack(id);
    $("button", known.get(id).card).focus();
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
  let timer;
  later();
  leaving.add(id);
  undoable.set(id, { finish, undo });
  card.remove();
  showState();
  announce(`Deleted ${titleOf(item)}. Control Z undoes it.`);
  $("button", next ?? $("header.top .tools")).focus();
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
  known.delete(id);
  leaving.delete(id);
}

/** Deletes an item unless somebody has changed its fields; its picture, and what is made of it, may have changed. */
async function deleteAsSeen(id, seen, options) {
  for (;;) {
    const tag = known.get(id).etag;
    try {
      return await call("DELETE", itemPath(id), { headers: tag ? { "If-Match": tag } : {}, ...options });
    } catch (problem) {
      if (problem.status !== 412) throw problem;
    }
    const { data, etag } = await call("GET", itemPath(id));
    put(data, etag);
    if (!same(ownFields(data), seen)) throw new Problem({ status: 412, message: "Somebody else has changed it meanwhile. Delete it again if you still want to." });
  }
}

/** Shows an item again that was about to be deleted, as it is by now. */
function comeBack(id) {
  const { item, etag } = known.get(id);
  leaving.delete(id);
  put(item, etag);
  showState();
}

addEventListener("keydown", (event) => {
  const last = [...undoable.values()].at(-1);
  if (!last || event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.target.matches("input, textarea")) return;
  event.preventDefault();
  last.undo();
});

addEventListener("pagehide", () => {
  for (const [id, { finish }] of undoable) {
    // Nobody will be here to try again when a picture's rendering gives the item another tag.
    const { item } = known.get(id);
    finish({ keepalive: true, ...(["pending", "processing"].includes(item.image?.status) && { headers: {} }) });
  }
});

// ------------------------------------------------------------------------------------------------------------ ways in

function pick(accept, multiple, then) {
  const input = h("input", { type: "file", accept, multiple });
  input.addEventListener("change", () => input.files.length > 0 && then([...input.files]));
  input.click();
}

const pickPictures = () => pick(PICTURES, true, addPictures);
const pickImport = () => pick(".json,.ndjson,.jsonl", false, ([file]) => startImport(file));
const startImport = (file) => importFile(file, () => load({ afresh: true }));

/** Files that were dropped or pasted: to the open item, or to the card they fell on, or each to an item of its own. */
function take(files, target) {
  const [imports, pictures] = [files.filter(isImport), files.filter((file) => !isImport(file))];
  const id = target?.closest?.(".card[data-id]")?.dataset.id;
  if (dialog.open && open && pictures.length > 0) open.take(pictures);
  else if (id && pictures.length === 1) uploadTo(id, pictures[0]);
  else addPictures(pictures);
  imports.forEach(startImport);
}

const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
let under = null;

function mark(target) {
  under?.classList.remove("target");
  under = target?.closest?.(".card[data-id], dialog") ?? null;
  under?.classList.add("target");
  document.body.classList.toggle("dropping", target !== null);
}

addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  mark(event.target);
});
addEventListener("dragleave", (event) => event.relatedTarget === null && mark(null));
addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(null);
  take([...event.dataTransfer.files], event.target);
});
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length === 0) return;
  event.preventDefault();
  take(files.filter((file) => pictureType(file) || isImport(file)).map(named), null);
});

/** A picture copied from another page comes as "image.png", whatever it shows. */
const named = (file) => (file.name === "image.png" ? new File([file], "Pasted picture", { type: file.type }) : file);

$("#new").addEventListener("click", newItem);
$("#add-pictures").addEventListener("click", pickPictures);
$("#import").addEventListener("click", pickImport);
$("#more").addEventListener("click", () => load());
new IntersectionObserver(([entry]) => entry.isIntersecting && cursor && !failed && load(), { rootMargin: "600px" }).observe($("#more"));

// ---------------------------------------------------------------------------------------------------------- session

function showSession() {
  $("#sign-out").hidden = !token();
  $("#person").textContent = person();
}

$("#sign-out").addEventListener("click", async () => {
  const leaving = signOut();
  clear();
  showSession();
  await leaving.catch(() => {}); // It is over here, whatever the issuer makes of it.
  load({ afresh: true });
});

/** Begins where the issuer's page sent somebody back to, with what they were typing when they left. */
async function begin() {
  try {
    const draft = await returned();
    showSession();
    load();
    if (draft) editItem(draft.item, draft.etag, draft.own, draft.key);
  } catch (failure) {
    showSignIn(failure);
    $(".sign-in > p", state).replaceWith(problemBox(failure));
  }
}

function showLine() {
  $("#offline").hidden = navigator.onLine;
}

addEventListener("offline", showLine);
addEventListener("online", () => {
  showLine();
  if (failed || known.size === 0) load();
});

async function showStage() {
  const { data } = await call("GET", "health");
  $("#stage").textContent = `${data.stage} · ${data.version}`;
}

// The page may have been opened without the slash at its end: then links of its own would miss the stage.
for (const link of document.querySelectorAll("a[data-to]")) link.href = new URL(link.dataset.to, root);

showLine();
showSession();
showStage().catch(() => {});
begin();
