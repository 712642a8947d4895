// The newest deliveries of a webhook: what was sent, and what the receiver responded.

import { call } from "./api.js";
import { $, announce, button, h, plural, timeElement } from "./dom.js";
import { itemRoute } from "./page-url.js";
import { poll, PollTimeout } from "./poll-and-retry.js";
import { eventName } from "./webhook-event-labels.js";

const FOLLOW_SECONDS = 60;
const SOON = 45_000; // milliseconds
const STATES = { pending: "Waiting", succeeded: "Succeeded", failed: "Failed" };

export class DeliveryList {
  #path;
  #attempt;
  #list = h("ul", { "aria-labelledby": "deliveries" });
  #note = h("p", { class: "note", role: "status" });
  /** How many deliveries are awaited. */
  #awaited = 0;
  /** What is shown of each delivery. @type {Map<string, {text: string, element: HTMLElement}>} */
  #shown = new Map();

  /**
   * @param {string} path of the webhook
   * @param {(action: () => Promise<void>) => void} attempt runs an action, and shows its problem
   */
  constructor(path, attempt) {
    this.#path = path;
    this.#attempt = attempt;
    this.element = h("div", { class: "deliveries" }, this.#note, this.#list);
  }

  /** Read the deliveries, and show them. Return whether something has changed. Throw Problem. */
  async read() {
    const { data } = await call("GET", `${this.#path}/deliveries`);
    return this.#show(data.deliveries);
  }

  /**
   * Read the deliveries until one was attempted, for a minute at most. Throw Problem.
   * @param {string} id
   * @param {number} [before] how often it was attempted already
   */
  async follow(id, before = 0) {
    const check = async () => {
      const { data } = await call("GET", `${this.#path}/deliveries`);
      this.#show(data.deliveries);
      return data.deliveries.find((/** @type {Delivery} */ one) => one.id === id && one.attempts > before);
    };
    this.#awaited += 1;
    this.#showNote();
    try {
      const { status } = await poll(check, { seconds: FOLLOW_SECONDS });
      announce(STATES[/** @type {Delivery["status"]} */ (status)]);
    } catch (problem) {
      if (!(problem instanceof PollTimeout)) throw problem;
    } finally {
      this.#awaited -= 1;
      this.#showNote();
    }
  }

  #showNote() {
    const usual = this.#shown.size > 0 ? "The newest 100 of the last week." : "Nothing was sent yet.";
    this.#note.textContent = this.#awaited > 0 ? "Sent. Waiting for the receiver…" : usual;
  }

  /** Entries that have not changed stay, also if they are open. @param {Delivery[]} deliveries */
  #show(deliveries) {
    const before = this.#shown;
    this.#shown = new Map(deliveries.map((one) => {
      const text = JSON.stringify(one);
      const known = before.get(one.id);
      return [one.id, known?.text === text ? known : { text, element: this.#entry(one, known?.element) }];
    }));
    const elements = [...this.#shown.values()].map(({ element }) => element);
    const isSame = elements.length === this.#list.children.length
      && elements.every((one, place) => one === this.#list.children[place]);
    if (!isSame) this.#list.replaceChildren(...elements);
    this.#showNote();
    return !isSame;
  }

  /** @param {Delivery} delivery @param {HTMLElement} [before] what was shown of it */
  #entry(delivery, before) {
    const { id, type, itemId, status, createdAt, attempts, response, error } = delivery;
    const at = timeElement(createdAt);
    const again = () => this.#attempt(() => this.#sendAgain(delivery));
    const label = `Send again: ${eventName(type)}, ${at.textContent}`;
    return h("li", {},
      h("div", { class: "row" },
        h("span", { class: `state ${status}` }, STATES[status]),
        h("strong", {}, itemId ? h("a", { href: itemRoute(itemId) }, eventName(type)) : eventName(type)), at,
        h("span", { class: "space" }),
        button("Send again", again, { "aria-label": label, "data-key": `again-${id}` })),
      h("p", { class: "note" }, outcomeText(delivery)),
      error && h("p", { class: "warning" }, error),
      response && h("details", { open: $("details", before ?? this.#list)?.open && before !== undefined },
        h("summary", {}, attempts > 1 ? "The last answer" : "The answer"), h("pre", {}, response)));
  }

  /** @param {Delivery} delivery */
  async #sendAgain({ id, attempts }) {
    const { data } = await call("POST", `${this.#path}/deliveries/${encodeURIComponent(id)}/redeliver`);
    await this.follow(data.deliveryId, data.deliveryId === id ? attempts : 0);
  }
}

/**
 * Return the result of a delivery, such as "Status 500 · 120 ms · 2 attempts · next in 5 minutes".
 * @param {Delivery} delivery
 */
export function outcomeText({ attempts, responseStatus, durationMs, nextAttemptAt }) {
  const parts = [
    responseStatus && `Status ${responseStatus}`,
    durationMs !== undefined && `${durationMs.toLocaleString()} ms`,
    attempts > 0 ? plural(attempts, "attempt") : "Not attempted yet",
  ].filter(Boolean).join(" · ");
  if (!nextAttemptAt) return [parts];
  const isSoon = Date.parse(nextAttemptAt) - Date.now() < SOON;
  return [`${parts} · next attempt `, isSoon ? "in a moment" : timeElement(nextAttemptAt)];
}
