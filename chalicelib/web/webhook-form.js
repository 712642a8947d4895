// The dialog that adds or changes a webhook.

import { Problem, call } from "./api.js";
import { showQuestion } from "./dialog.js";
import { button, h, problemBox } from "./dom.js";
import { ALL, EVENTS } from "./webhook-event-labels.js";

const MAX_URL = 2048; // characters
const MAX_DESCRIPTION = 200; // characters

/**
 * Ask for the settings of a webhook, and save them. Return what the API returns, or null if the user cancels.
 * @param {Webhook} [webhook] what is changed; without it, one is added
 * @returns {Promise<Webhook | null>}
 */
export function askWebhook(webhook) {
  return new Promise((resolve) => {
    const url = h("input", {
      type: "url", value: webhook?.url ?? "", maxLength: MAX_URL, required: true, placeholder: "https://",
    });
    const description = h("input", { value: webhook?.description ?? "", maxLength: MAX_DESCRIPTION });
    const events = eventChoice(webhook?.events ?? [ALL]);
    const problems = h("div", { class: "problems" });
    const save = h("button", { class: "primary" }, webhook ? "Save" : "Add");
    const onsubmit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      save.disabled = true;
      problems.replaceChildren();
      try {
        const body = { url: url.value.trim(), events: events.read(), description: description.value.trim() };
        resolve(await saved(webhook, body));
        dialog.close();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        problems.replaceChildren(problemBox(problem));
      } finally {
        save.disabled = false;
      }
    };
    const dialog = showQuestion({ onclose: () => resolve(null) },
      h("h2", { id: "question" }, webhook ? "Edit the webhook" : "Add a webhook"),
      h("form", { class: "ask-form", onsubmit },
        h("label", {}, "Address of the receiver", url),
        events.element,
        h("label", {}, "Description (optional)", description),
        problems,
        h("div", { class: "row" }, button("Cancel", () => dialog.close()), save)));
  });
}

/** @param {Webhook | undefined} webhook @param {Partial<Webhook>} body @returns {Promise<Webhook>} */
async function saved(webhook, body) {
  const path = webhook ? `webhooks/${encodeURIComponent(webhook.id)}` : "webhooks";
  return (await call(webhook ? "PATCH" : "POST", path, { body })).data;
}

/**
 * Return checkboxes for the events. Those of single events cannot be used while all are chosen.
 * @param {string[]} chosen
 */
export function eventChoice(chosen) {
  const box = (/** @type {string} */ type) =>
    h("input", { type: "checkbox", value: type, checked: chosen.includes(type), onchange: () => update() });
  const all = box(ALL);
  const single = Object.keys(EVENTS).map(box);
  const read = () => (all.checked ? [ALL] : single.filter(({ checked }) => checked).map(({ value }) => value));
  const update = () => {
    for (const one of single) one.disabled = all.checked;
    all.setCustomValidity(read().length > 0 ? "" : "Choose at least one event.");
  };
  update();
  const element = h("fieldset", { class: "events" }, h("legend", { class: "label" }, "Events"),
    h("label", { class: "check" }, all, "All, also those of later versions"),
    single.map((one) => h("label", { class: "check" }, one, EVENTS[one.value])));
  return { element, read };
}
