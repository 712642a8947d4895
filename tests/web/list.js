// The list of items as a user sees it, for the tests. Import it after browser.js.

import { json, stubFetch } from "./browser.js";
import { changeSettings, clearGallery } from "../../chalicelib/web/list-loading.js";
import { DEFAULTS } from "../../chalicelib/web/page-url.js";

const AT = "2026-01-31T12:00:00.000Z";
export const item = (number, fields = {}) => ({
  id: `item-${String(number).padStart(2, "0")}`, title: `Title ${number}`,
  version: 1, createdAt: AT, updatedAt: AT, ...fields,
});
export const page = (numbers, nextCursor = null) => json({ items: numbers.map((number) => item(number)), nextCursor });
export const cards = () => [...document.querySelectorAll("#gallery [data-id]")];
export const shown = () => cards().filter((card) => !card.hidden).map((card) => Number(card.dataset.id.slice(5)));
export const text = (selector) => document.querySelector(selector).textContent;

/** Respond to requests for lists, one after the other. Return the requests. */
export function respondWith(...responses) {
  return stubFetch(() => responses.shift());
}

export const change = (changes) => changeSettings({ ...DEFAULTS, ...changes });

/** Show an empty list with the default settings. */
export async function emptyList() {
  clearGallery();
  stubFetch(() => page([]));
  await change({ added: "7" });
  await change({});
}
