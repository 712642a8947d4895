// An item to look at: its picture large, its facts beside it, its neighbours an arrow key away.

import { Problem, call, isNumber, itemPath, write } from "./api.js";
import { close, current, show } from "./dialog.js";
import { give, pickPicture, remove, uploadTo } from "./doing.js";
import { $, announce, button, bytes, h, problemBox, time } from "./dom.js";
import { editItem } from "./form.js";
import { beside, drop, hasMore, load, signInBox } from "./gallery.js";
import { forget, frame, humanised, isMoment, keep, known, ownFields, picture, titleField, titleOf, toItem } from "./items.js";

/** Shows an item, at once if anything is known of it, and as it is now as soon as that is there. */
export async function view(id) {
  const mine = {
    id, kind: "viewing", route: toItem(id), leave: close, touched: () => false,
    take: (files) => give(id, files),
    changed: () => draw(mine),
  };
  if (known(id)) draw(mine);
  else show(mine, "Loading…", { parts: [h("p", { class: "loading" }, "Loading…")] });
  mine.read = read(mine);
  await mine.read;
}

/** Reads the item by itself, which brings the tag that a change needs; gives the problem if that fails, else null. */
async function read(mine) {
  try {
    const { data, etag } = await call("GET", itemPath(mine.id));
    keep(data, etag);
    if (current() === mine && !mine.drawn) draw(mine);
    return null;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 404) {
      drop(mine.id);
      forget(mine.id);
    }
    // What a list has told of the item can be looked at all the same.
    if (current() === mine && (!mine.drawn || problem.status === 404)) showProblem(mine, problem);
    return problem;
  }
}

function showProblem(mine, problem) {
  const again = () => view(mine.id);
  const entered = () => {
    load({ afresh: true });
    again();
  };
  if (problem.signIn) return show(mine, "Sign in", { parts: [signInBox(problem, entered)] });
  return show(mine, "This item cannot be shown", { parts: [problemBox(problem, ...(problem.status === 404 ? [] : [button("Try again", again)]))] });
}

function draw(mine) {
  const { item } = known(mine.id);
  const parts = { picture: stageOf(item), parts: [factsOf(item), recordOf(item), actionsOf(mine)] };
  if (!mine.drawn) show(mine, titleOf(item), parts);
  else redraw(mine, item, parts);
  mine.drawn = item.version;
}

/** Shows what has changed of what is shown already, without taking the focus from whoever reads it. */
function redraw(mine, item, { picture: stage, parts }) {
  if (mine.drawn === item.version) return;
  const dialog = $("#item");
  const focused = document.activeElement?.dataset?.key;
  $("h2", dialog).textContent = titleOf(item);
  $(".stage", dialog).replaceChildren(...stage);
  $(".content", dialog).replaceChildren(...parts);
  if (focused) $(`[data-key="${focused}"]`, dialog)?.focus();
}

// ---------------------------------------------------------------------------------------------------------- picture

function stageOf(item) {
  return [
    h("div", { class: "frame large" }, large(item)),
    step(item.id, -1, "Previous item", "‹"), step(item.id, 1, "Next item", "›"),
  ];
}

function large(item) {
  if (!item.image) return [frame({ ...item, expiresAt: null }, titleOf(item)), button("Add a picture", () => pickPicture((file) => uploadTo(item.id, file)), { "data-key": "picture" })];
  if (item.image.status !== "ready") return frame({ ...item, expiresAt: null }, titleOf(item));
  const shown = picture(item, { sizes: "(min-width: 60rem) 60vw, 100vw", whole: true });
  shown.alt = `Picture of ${titleOf(item)}`;
  // Far beyond its own size it would only show its pixels.
  shown.style.maxWidth = `${Math.round(item.image.width * 1.75)}px`;
  return shown;
}

function step(id, by, label, sign) {
  return button(sign, () => go(by), { class: `step ${by < 0 ? "previous" : "next"}`, "aria-label": label, "data-key": label, hidden: !isBeside(id, by) });
}

const isBeside = (id, by) => beside(id, by) !== null || (by > 0 && hasMore());

/** Goes to a neighbour, and loads the next page for one that is not there yet. */
async function go(by) {
  const mine = current();
  if (by > 0 && !beside(mine.id, by) && hasMore()) await load();
  const id = beside(mine.id, by);
  if (!id || current() !== mine) return;
  const focused = document.activeElement?.dataset?.key;
  view(id);
  const again = focused && $(`#item [data-key="${focused}"]`);
  if (!again || again.hidden) return;
  again.focus();
  announce(titleOf(known(id).item)); // The heading that says it has not got the focus.
}

// What is beside an item may come later than the item.
document.addEventListener("gallery", () => {
  const mine = current();
  if (mine?.kind !== "viewing") return;
  for (const [by, name] of [[-1, "previous"], [1, "next"]]) {
    const one = $(`#item .step.${name}`);
    if (one) one.hidden = !isBeside(mine.id, by);
  }
});

addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const other = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
  if (!by || other || current()?.kind !== "viewing" || event.target.closest("input, select, textarea, .ask")) return;
  event.preventDefault();
  go(by);
});

// ------------------------------------------------------------------------------------------------------------ facts

function factsOf(item) {
  const own = Object.entries(ownFields(item)).filter(([name, value]) => name !== titleField(item) && name !== "expiresAt" && value !== "" && value !== null);
  return h("dl", { class: "said" }, own.map(([name, value]) => h("div", { class: isLong(value) ? "long" : null }, fact(humanised(name) || name, valueOf(value)))));
}

const isLong = (value) => typeof value === "string" && (value.length > 60 || value.includes("\n"));

function valueOf(value, depth = 0) {
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (value === null) return "–";
  if (isNumber(value)) return write(value);
  if (isMoment(value)) return time(value);
  if (typeof value === "string") return /^https?:\/\/\S+$/.test(value) ? h("a", { href: value, target: "_blank", rel: "noopener noreferrer" }, value) : value;
  if (depth > 2) return h("code", {}, write(value));
  if (Array.isArray(value)) return h("ul", { class: "several" }, value.map((one) => h("li", {}, valueOf(one, depth + 1))));
  return h("dl", { class: "inner" }, Object.entries(value).map(([name, one]) => fact(humanised(name) || name, valueOf(one, depth + 1))));
}

/** What Vitrine itself keeps of an item. */
function recordOf(item) {
  const image = item.image;
  return h("div", { class: "record" },
    image?.error && h("p", { class: "why" }, image.error.message),
    h("dl", {},
      item.expiresAt && fact("Expires", time(item.expiresAt)),
      fact("Added", time(item.createdAt)),
      item.version > 1 && fact("Changed", [time(item.updatedAt), ` · version ${item.version}`]),
      image?.status === "ready" && fact("Picture", [`${image.width} × ${image.height}, ${bytes(image.bytes)} · `,
        h("a", { href: image.url, target: "_blank", rel: "noopener", "data-key": "original" }, "Original")]),
      fact("Id", h("code", {}, item.id))));
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function actionsOf(mine) {
  return h("div", { class: "actions" },
    button("Delete", () => {
      close();
      remove(mine.id);
    }, { class: "danger quiet-danger", "data-key": "delete" }),
    h("span", { class: "space" }),
    button("Edit", () => edit(mine), { class: "primary", "data-key": "edit" }));
}

async function edit(mine) {
  if (!known(mine.id).etag) {
    const actions = $("#item .actions");
    actions.setAttribute("aria-busy", "true");
    const problem = (await mine.read) && (await read(mine));
    actions.removeAttribute("aria-busy");
    if (current() !== mine) return;
    if (problem) {
      $(".problems", actions)?.remove();
      actions.prepend(h("div", { class: "problems" }, problemBox(problem)));
      return;
    }
  }
  const { item, etag } = known(mine.id);
  editItem(item, etag, { done: (id) => (id ? view(id) : close()) });
}
