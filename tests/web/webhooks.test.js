import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { DeliveryList, outcomeText } from "../../chalicelib/web/webhook-deliveries.js";
import { eventsText } from "../../chalicelib/web/webhook-event-labels.js";
import { eventChoice } from "../../chalicelib/web/webhook-form.js";
import { stateOf, troubleText } from "../../chalicelib/web/webhooks.js";

const textOf = (parts) => {
  const element = document.createElement("div");
  element.append(...[parts].flat(Infinity).filter(Boolean));
  return element.textContent;
};

test("events are named in words, also unknown ones", () => {
  assert.equal(eventsText(["item.created", "item.unpublished"]), "Item created, Item made private");
  assert.equal(eventsText(["*"]), "All events");
  assert.equal(eventsText(["item.moved"]), "item.moved");
});

test("the state of a webhook says since when and why", () => {
  const since = new Date(Date.now() - 2 * 3600_000).toISOString();
  assert.equal(textOf(stateOf({ status: "active" })), "Active");
  assert.equal(textOf(stateOf({ status: "failing", failingSince: since, problem: "Status 500." })),
    "Failing since 2 hours agoStatus 500.");
  assert.equal(textOf(stateOf({ status: "off", problem: "No answer." })), "Switched offNo answer.");
});

test("the page names webhooks that do not work", () => {
  assert.equal(troubleText([{ status: "active" }, { status: "off" }]), "");
  const off = { status: "off", problem: "No answer." };
  assert.equal(troubleText([{ status: "failing" }, off, off]), "1 webhook failing, 2 webhooks switched off");
});

test("a delivery shows its status, time and next attempt", () => {
  const soon = new Date(Date.now() + 5000).toISOString();
  const later = new Date(Date.now() + 7260_000).toISOString();
  assert.equal(textOf(outcomeText({ attempts: 0 })), "Not attempted yet");
  const answered = { attempts: 1, responseStatus: 204, durationMs: 84 };
  assert.equal(textOf(outcomeText(answered)), "Status 204 · 84 ms · 1 attempt");
  assert.equal(textOf(outcomeText({ attempts: 2, nextAttemptAt: soon })), "2 attempts · next attempt in a moment");
  assert.equal(textOf(outcomeText({ attempts: 6, nextAttemptAt: later })), "6 attempts · next attempt in 2 hours");
});

test("all events or at least one are chosen", () => {
  const { element, read } = eventChoice(["item.created"]);
  const [all, created, updated] = element.querySelectorAll("input");
  const set = (box, checked) => {
    box.checked = checked;
    box.dispatchEvent(new Event("change"));
  };
  assert.deepEqual([read(), created.disabled], [["item.created"], false]);
  set(updated, true);
  assert.deepEqual(read(), ["item.created", "item.updated"]);
  set(all, true);
  assert.deepEqual([read(), created.disabled], [["*"], true]);
  set(all, false);
  set(created, false);
  set(updated, false);
  assert.equal(all.checkValidity(), false);
});

describe("the list of deliveries", () => {
  const delivery = (id, fields) => ({
    id, type: "item.updated", status: "succeeded", attempts: 1, createdAt: "2026-01-31T12:00:00Z", ...fields,
  });

  test("only changed entries are drawn again", async () => {
    const list = new DeliveryList("webhooks/w", () => {});
    const first = delivery("b", { status: "pending", response: "busy" });
    const answers = [[first, delivery("a")], [first, delivery("a")], [{ ...first, attempts: 2 }, delivery("a")]];
    const requests = stubFetch(() => json({ deliveries: answers.shift() }));
    assert.equal(await list.read(), true);
    const entries = () => [...list.element.querySelectorAll("li")];
    const [open, other] = entries();
    open.querySelector("details").open = true;
    assert.equal(await list.read(), false);
    assert.equal(await list.read(), true);
    assert.deepEqual([entries()[0] === open, entries()[1] === other], [false, true]);
    assert.equal(entries()[0].querySelector("details").open, true);
    assert.match(entries()[0].textContent, /Waiting.*2 attempts/);
    assert.match(requests[0].url.pathname, /\/webhooks\/w\/deliveries$/);
  });
});
