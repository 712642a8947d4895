import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { storeItem } from "../../chalicelib/web/item-store.js";
import { setFocus } from "../../chalicelib/web/item-writes.js";
import { FocusPoint } from "../../chalicelib/web/picture-focus.js";

const AT = "2026-01-31T12:00:00.000Z";
const IMAGE = {
  status: "ready", contentType: "image/jpeg", width: 1200, height: 900, bytes: 2000, url: "https://b/one",
  thumbnails: [{ width: 800, height: 600, url: "https://b/one/800" }],
};
const FIELDS = { id: "focus-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase", image: IMAGE };
const item = (fields) => ({ ...FIELDS, ...fields });

function press(point, key, options = {}) {
  point.element.querySelector(".focus-marker").dispatchEvent(new KeyboardEvent("keydown", { key, ...options }));
}

describe("picture-focus", () => {
  test("arrow keys move the point and say where it is", () => {
    const point = new FocusPoint(item());
    press(point, "ArrowLeft");
    press(point, "ArrowDown", { shiftKey: true });
    assert.deepEqual(point.value, { x: 0.49, y: 0.6 });
    const marker = point.element.querySelector(".focus-marker");
    assert.equal(marker.getAttribute("aria-valuetext"), "49 % from the left, 60 % from the top");
  });

  test("the point stays within the picture", () => {
    const point = new FocusPoint(item({ image: { ...IMAGE, focus: { x: 0.995, y: 0.05 } } }));
    press(point, "ArrowRight");
    press(point, "ArrowUp", { shiftKey: true });
    assert.deepEqual(point.value, { x: 1, y: 0 });
  });

  test("a focus is written again after a change of other fields", async () => {
    storeItem(item(), '"1"');
    const changed = item({ version: 2, title: "Jug" });
    const responses = [json({}, { status: 412 }), json(changed, { headers: { ETag: '"2"' } }), json(changed)];
    const requests = stubFetch(() => responses.shift());
    await setFocus(changed, { x: 0.25, y: 0.5 });
    assert.deepEqual(requests.map(({ init }) => init.headers["If-Match"]), ['"1"', undefined, '"2"']);
    assert.match(requests[2].url.pathname, /\/items\/focus-1\/image$/);
    assert.equal(requests[2].init.body, '{"focus":{"x":0.25,"y":0.5}}');
  });

  test("a focus is not set on a picture that replaced the one shown", async () => {
    storeItem(item({ version: 3 }), '"3"');
    const replaced = item({ version: 4, image: { ...IMAGE, url: "https://b/two" } });
    const responses = [json({}, { status: 412 }), json(replaced)];
    stubFetch(() => responses.shift());
    await assert.rejects(setFocus(item({ version: 3 }), null), { message: "The picture was replaced meanwhile." });
  });
});
