// The dialog with an item's share links: each shows one item to everybody who has it, even a private one.

import { Problem, call, itemPath } from "./api.js";
import { linkField } from "./copy-links.js";
import { confirmWith, isAsking, showQuestion } from "./dialog.js";
import { button, h, problemBox, showErrorNotice, timeElement } from "./dom.js";
import { fieldsForVisitors, nameOf } from "./field-metadata.js";
import { storedItem } from "./item-store.js";

const DAY = 24 * 60 * 60 * 1000; // milliseconds

/** How many days a link works. */
const CHOICES = [["1", "for 1 day"], ["7", "for 7 days"], ["30", "for 30 days"], ["", "until it is revoked"]];
const DEFAULT_DAYS = "7";

/**
 * Return what to send to make a link.
 * @param {string} days "" if it does not expire
 * @param {number} [now] in milliseconds
 */
export const shareRequest = (days, now = Date.now()) =>
  (days ? { expiresAt: new Date(now + Number(days) * DAY).toISOString() } : {});

/**
 * Show an item's links in a dialog.
 * @param {string} id
 */
export async function openShares(id) {
  try {
    const { data } = await call("GET", sharesPath(id));
    if (!isAsking()) new ShareDialog(id, data.shares).show();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showErrorNotice("The links cannot be shown", problem);
  }
}

/** @param {string} id */
const sharesPath = (id) => `${itemPath(id)}/shares`;

class ShareDialog {
  #id;
  /** @type {Share[]} */
  #shares;
  /** The link whose URL is shown. @type {Share | null} */
  #newest = null;
  #list = h("ul", { class: "shares", "aria-label": "Links" });
  #status = h("p", { class: "note", role: "status" });
  #days = h("select", {}, CHOICES.map(([value, label]) => h("option", { value }, label)));
  #created = h("div", {});
  #problems = h("div", { class: "problems" });
  #create = h("button", { class: "primary" }, "Copy share link");

  /** @param {string} id @param {Share[]} shares */
  constructor(id, shares) {
    this.#id = id;
    this.#shares = shares;
    this.#days.value = DEFAULT_DAYS;
  }

  show() {
    const onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#attempt(() => this.#add());
    };
    this.#drawList();
    const dialog = showQuestion({},
      h("h2", { id: "question" }, `Share ${nameOf(storedItem(this.#id))}`),
      h("p", { class: "note" },
        "Everybody who has the link sees the item, even if it is private. ", fieldsForVisitors()),
      this.#list, this.#status,
      h("form", { class: "ask-form", onsubmit },
        h("label", {}, "A new link works", this.#days), this.#created, this.#problems,
        h("div", { class: "row" }, button("Close", () => dialog.close()), this.#create)));
  }

  /** Run an action. Show its problem. @param {() => Promise<void>} action */
  async #attempt(action) {
    if (this.#create.ariaBusy) return;
    this.#create.ariaBusy = "true";
    this.#problems.replaceChildren();
    try {
      await action();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#problems.replaceChildren(problemBox(problem));
    } finally {
      this.#create.ariaBusy = null;
    }
  }

  async #add() {
    const { data } = await call("POST", sharesPath(this.#id), { body: shareRequest(this.#days.value) });
    this.#newest = data;
    this.#shares.push(data);
    this.#drawList();
    const { element, copy } = linkField("Share link, shown only once", data.url);
    this.#created.replaceChildren(element);
    await copy();
  }

  /** @param {Share} share */
  async #revoke(share) {
    if (!(await confirmWith("Revoke this link? It will not show the item any more.", "Revoke"))) return;
    await call("DELETE", `${sharesPath(this.#id)}/${encodeURIComponent(share.id)}`).catch(ignoreMissing);
    this.#shares = this.#shares.filter((one) => one !== share);
    if (share === this.#newest) this.#created.replaceChildren();
    this.#drawList();
    this.#status.textContent = "Link revoked";
    this.#create.focus();
  }

  #drawList() {
    this.#list.replaceChildren(...this.#shares.map((share) => this.#entry(share)));
    this.#status.textContent = this.#shares.length > 0 ? "" : "There is no link yet.";
  }

  /** @param {Share} share */
  #entry(share) {
    const { createdAt, expiresAt } = share;
    const expiry = expiresAt ? [", expires ", timeElement(expiresAt)] : ", never expires";
    const made = timeElement(createdAt);
    const revoke = () => this.#attempt(() => this.#revoke(share));
    return h("li", {}, h("span", {}, "Made ", made, expiry),
      button("Revoke", revoke, { class: "danger", "aria-label": `Revoke the link made ${made.textContent}` }));
  }
}

/** A link may be revoked in another tab, or have expired. @param {unknown} problem */
function ignoreMissing(problem) {
  if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
}
