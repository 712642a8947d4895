// The views of webhooks: the list, and one webhook with its deliveries. Loaded when one is opened.

import { Problem, call } from "./api.js";
import { linkField } from "./copy-links.js";
import { closeDialog, confirmWith, currentView, showView, updateView } from "./dialog.js";
import { $, announce, button, h, plural, problemBox, timeElement } from "./dom.js";
import { reportIgnoredFiles } from "./item-pictures.js";
import { rememberWebhooks } from "./lazy-modules.js";
import { signInBox } from "./sign-in-box.js";
import { DeliveryList } from "./webhook-deliveries.js";
import { eventsText } from "./webhook-event-labels.js";
import { askWebhook } from "./webhook-form.js";

const ROUTE = "#webhooks";
const POLL_EVERY = 10_000; // milliseconds between two looks at the deliveries

// Styles that the page needs only now.
const styled = new Promise((resolve) => {
  const { href } = new URL("./webhooks.css", import.meta.url);
  document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
});

/**
 * Open the list of webhooks, or one of them.
 * @param {string} route
 */
export async function openWebhooks(route) {
  await styled;
  const id = new URLSearchParams(route.slice(1)).get("webhooks");
  return id ? new WebhookView(id).show() : new WebhookList().show();
}

/** @param {string} id */
const pathOf = (id) => `webhooks/${encodeURIComponent(id)}`;

/** @param {string} id */
const routeOf = (id) => `${ROUTE}=${encodeURIComponent(id)}`;

// -------------------------------------------------------------------------------------------------------------- states

/** Return the state of a webhook in words, and since when or why. @param {Webhook} webhook */
export function stateOf({ status, failingSince, problem }) {
  const label = { active: "Active", failing: "Failing", off: "Switched off" }[status];
  const since = status === "failing" && failingSince && [" since ", timeElement(failingSince)];
  return [
    h("p", { class: "row" }, h("span", { class: `state ${status}` }, label, since)),
    problem && h("p", { class: "warning" }, problem),
  ];
}

/**
 * Return what the page says of webhooks that do not work, or "".
 * @param {Webhook[]} webhooks
 */
export function troubleText(webhooks) {
  const failing = webhooks.filter(({ status }) => status === "failing").length;
  const off = webhooks.filter(({ status, problem }) => status === "off" && problem).length;
  const parts = [[failing, "failing"], [off, "switched off"]].filter(([count]) => count);
  return parts.map(([count, state]) => `${plural(Number(count), "webhook")} ${state}`).join(", ");
}

/** Say in the page's header which webhooks do not work, and remember if there are any. @param {Webhook[]} webhooks */
function showTrouble(webhooks) {
  const trouble = troubleText(webhooks);
  const link = $("#webhooks");
  link.textContent = trouble || "Webhooks";
  link.classList.toggle("trouble", trouble !== "");
  rememberWebhooks(webhooks.length > 0);
}

/** @returns {Promise<Webhook[]>} */
async function readAll() {
  const { data } = await call("GET", "webhooks");
  showTrouble(data.webhooks);
  return data.webhooks;
}

/** Read the states, and say which webhooks do not work. It does not matter if that fails. */
export const readStates = () => readAll().catch(ignoreProblem);

/** @param {unknown} problem */
function ignoreProblem(problem) {
  if (!(problem instanceof Problem)) throw problem;
}

// --------------------------------------------------------------------------------------------------------------- views

/** What both views have in common. @implements {View} */
class WebhooksPage {
  kind = /** @type {const} */ ("listing");
  route = ROUTE;

  onItemChange() {}

  /** @param {File[]} files */
  addFiles(files) {
    reportIgnoredFiles(files);
  }

  hasChanges() {
    return false;
  }

  losesChanges() {
    return false;
  }

  leave() {
    closeDialog();
  }

  get isCurrent() {
    return currentView() === this;
  }

  /** Show the page after `read`, or its problem. @param {string} title @param {() => Promise<void>} read */
  async open(title, read) {
    showView(this, title, { parts: [h("p", { class: "loading" }, "Loading…")] });
    try {
      await read();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      const failure = this.#failure(problem, () => this.open(title, read));
      if (this.isCurrent) updateView(title, { picture: false, parts: [failure] });
    }
  }

  /** @param {Problem} problem @param {() => void} tryAgain */
  #failure(problem, tryAgain) {
    if (problem.needsSignIn) return signInBox(problem, tryAgain);
    return problemBox(problem, problem.isTemporary && button("Try again", tryAgain));
  }
}

class WebhookList extends WebhooksPage {
  show() {
    return this.open("Webhooks", async () => {
      const webhooks = await readAll();
      if (this.isCurrent) this.#draw(webhooks);
    });
  }

  /** @param {Webhook[]} webhooks */
  #draw(webhooks) {
    const add = button("Add webhook", () => this.#add(), { class: "primary", "data-key": "add" });
    const parts = h("div", { class: "webhooks" },
      h("p", { class: "note" }, "When an item changes, Vitrine sends a signed request to the address of each webhook."),
      webhooks.length > 0
        ? h("ul", { "aria-label": "Webhooks" }, webhooks.map(entryOf)) : h("p", {}, "There is no webhook yet."),
      h("div", { class: "actions" }, h("span", { class: "space" }), add));
    updateView("Webhooks", { picture: false, parts: [parts] });
  }

  async #add() {
    const created = await askWebhook();
    if (created) new WebhookView(created.id, created).show();
  }
}

/** @param {Webhook} webhook */
function entryOf(webhook) {
  return h("li", {},
    h("a", { href: routeOf(webhook.id) }, webhook.url),
    webhook.description && h("p", {}, webhook.description),
    h("p", { class: "note" }, eventsText(webhook.events)),
    stateOf(webhook));
}

class WebhookView extends WebhooksPage {
  #id;
  /** @type {Webhook | null} */
  #webhook = null;
  #deliveries;
  #secret = h("div", {});
  #problems = h("div", { class: "problems" });

  /** @param {string} id @param {Webhook} [created] with its secret, if it was made just now */
  constructor(id, created) {
    super();
    this.#id = id;
    this.route = routeOf(id);
    this.#deliveries = new DeliveryList(pathOf(id), (action) => this.#attempt(action));
    if (created) this.#showSecret(created);
  }

  show() {
    return this.open("Webhook", async () => {
      await Promise.all([this.#read(), this.#deliveries.read()]);
      this.#follow();
    });
  }

  leave() {
    new WebhookList().show();
  }

  async #read() {
    const { data } = await call("GET", pathOf(this.#id));
    this.#set(data);
  }

  /** @param {Webhook} webhook */
  #set(webhook) {
    const isOther = JSON.stringify({ ...webhook, secret: "" }) !== JSON.stringify({ ...this.#webhook, secret: "" });
    this.#webhook = webhook;
    if (isOther && this.isCurrent) this.#draw(webhook);
  }

  /** Read the deliveries from time to time, and the state with them, as long as this view is open. */
  async #follow() {
    while (this.isCurrent) {
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY));
      if (!this.isCurrent || document.hidden || !navigator.onLine) continue;
      await this.#refresh().catch(ignoreProblem);
    }
  }

  async #refresh() {
    if (await this.#deliveries.read()) await this.#read();
  }

  /** @param {Webhook} webhook */
  #draw(webhook) {
    const { url, events, description, createdAt, previousSecretUntil: until, status } = webhook;
    const isOff = status === "off";
    const act = (/** @type {string} */ label, /** @type {string} */ key, /** @type {() => Promise<void>} */ action,
      properties = {}) => button(label, () => this.#attempt(action), { "data-key": key, ...properties });
    const parts = h("div", { class: "webhooks" },
      this.#secret,
      h("div", {}, description && h("p", {}, description), stateOf(webhook)),
      h("dl", { class: "facts" },
        fact("Events", eventsText(events)), fact("Added", timeElement(createdAt)),
        until && fact("Old secret", ["Also signs until ", new Date(until).toLocaleString()])),
      this.#problems,
      h("div", { class: "row" },
        act("Send a test", "test", () => this.#test(), { class: "primary", disabled: isOff }),
        act("Edit", "edit", () => this.#edit(webhook)),
        act(isOff ? "Switch on" : "Switch off", "switch", () => this.#change({ enabled: isOff })),
        act("Replace the secret", "rotate", () => this.#rotate()),
        act("Delete", "delete", () => this.#remove(), { class: "danger quiet-danger" })),
      h("h3", { id: "deliveries" }, "Deliveries"),
      this.#deliveries.element,
      h("p", { class: "actions" }, h("a", { href: ROUTE }, "All webhooks")));
    updateView(url, { picture: false, parts: [parts] });
  }

  /** Run an action. Show its problem. @param {() => Promise<void>} action */
  async #attempt(action) {
    this.#problems.replaceChildren();
    try {
      await action();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#problems.replaceChildren(problemBox(problem));
    }
  }

  /** @param {Partial<Webhook> & {enabled?: boolean}} body */
  async #change(body) {
    const { data } = await call("PATCH", pathOf(this.#id), { body });
    this.#set(data);
    announce("enabled" in body ? `Switched ${body.enabled ? "on" : "off"}` : "Saved");
    readStates();
  }

  /** @param {Webhook} webhook */
  async #edit(webhook) {
    const changed = await askWebhook(webhook);
    if (changed) this.#set(changed);
  }

  async #test() {
    const { data } = await call("POST", `${pathOf(this.#id)}/test`);
    announce("Test sent");
    await this.#deliveries.follow(data.deliveryId);
    await this.#read();
  }

  async #rotate() {
    const question = "Replace the secret? For 24 hours, requests are signed with the old one, too, so that nothing is "
      + "lost until your receiver knows the new one.";
    if (!(await confirmWith(question, "Replace"))) return;
    const { data } = await call("POST", `${pathOf(this.#id)}/rotate`);
    this.#showSecret(data);
    this.#set(data);
    $("input", this.#secret).focus();
  }

  /** Show a secret, which the API returns only now. @param {Webhook} webhook */
  #showSecret({ secret }) {
    const { element } = linkField("Secret, shown only once", secret ?? "");
    this.#secret.replaceChildren(h("section", { class: "secret", "aria-label": "Secret" }, element,
      h("p", { class: "note" }, "Store it where your receiver runs. With it, and with a library of Standard "
        + "Webhooks, the receiver checks that a request is from here.")));
  }

  async #remove() {
    if (!(await confirmWith("Delete this webhook, and what is known of its deliveries?", "Delete"))) return;
    await call("DELETE", pathOf(this.#id));
    announce("Deleted");
    this.leave();
  }
}

/** @param {string} name @param {Child} value */
const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
