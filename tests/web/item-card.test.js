import assert from "node:assert/strict";
import { test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { cardOf, frameOf, pictureElement, sourcesOf } from "../../chalicelib/web/item-card-and-row.js";

const AT = "2026-01-31T12:00:00.000Z";
const item = (fields) => ({ id: "item-1", version: 1, createdAt: AT, updatedAt: AT, title: "Vase", ...fields });
const IMAGE = {
  status: "ready", contentType: "image/jpeg", width: 1200, height: 900, bytes: 2_000_000, url: "https://b/original",
  thumbnails: [
    { size: "200x200", width: 200, height: 200, url: "https://b/200" },
    { size: "800", width: 800, height: 600, url: "https://b/800" },
  ],
};

test("cards use all thumbnails and never the original", () => {
  assert.deepEqual(sourcesOf(IMAGE, false), { srcset: "https://b/200 200w, https://b/800 800w", src: "https://b/200" });
});

test("uncropped pictures leave out square thumbnails", () => {
  assert.equal(sourcesOf(IMAGE, true).srcset, "https://b/800 800w, https://b/original 1200w");
});

test("large originals are not shown", () => {
  assert.equal(sourcesOf({ ...IMAGE, bytes: 4 * 1024 * 1024 }, true).srcset, "https://b/800 800w");
});

test("originals that few browsers show are not shown", () => {
  assert.equal(sourcesOf({ ...IMAGE, contentType: "image/tiff" }, true).srcset, "https://b/800 800w");
});

test("without thumbnails the original is shown", () => {
  assert.equal(sourcesOf({ ...IMAGE, thumbnails: [], bytes: 9_000_000 }, true).src, "https://b/original");
});

test("a card shows why there is no picture", () => {
  const chip = (image) => cardOf(item({ image })).querySelector(".chip")?.textContent;
  assert.equal(chip({ status: "pending" }), "Upload pending");
  assert.equal(chip({ status: "failed", error: { message: "It is damaged." } }), "Picture failed");
  assert.equal(chip(undefined), undefined);
});

test("a card shows the title's first letter in place of a picture", () => {
  assert.equal(cardOf(item({ title: "émail" })).querySelector(".letter").textContent, "É");
});

test("a card shows when the item expires", () => {
  const text = cardOf(item({ expiresAt: "2001-03-05T12:00:00Z" })).querySelector(".chip").textContent;
  assert.match(text, /^Expires .*2001/);
});

test("a card shows that visitors see the item", () => {
  assert.equal(cardOf(item({ visibility: "public" })).querySelector(".chip").textContent, "Public");
});

test("a picture whose URL has expired is read again once", async () => {
  const fresh = { ...IMAGE, thumbnails: [{ ...IMAGE.thumbnails[1], url: "https://b/fresh" }] };
  const requests = stubFetch(() => json(item({ image: fresh })));
  const element = pictureElement(item({ image: IMAGE }), { sizes: "50vw" });
  element.dispatchEvent(new Event("error"));
  element.dispatchEvent(new Event("error"));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.equal(element.getAttribute("src"), "https://b/fresh");
  assert.equal(element.hasAttribute("srcset"), false);
  assert.equal(requests.length, 1);
});

test("a card says that the picture's file is incomplete", () => {
  const mark = (warnings) => cardOf(item({ image: { ...IMAGE, warnings } })).querySelector(".mark")?.title;
  assert.equal(mark(["TRUNCATED"]), "The file is incomplete; what it has is shown.");
  assert.equal(mark(undefined), undefined);
});

test("a picture that is cropped by the page keeps its focus", () => {
  const image = { ...IMAGE, focus: { x: 0.25, y: 1 } };
  const positionOf = (options) => pictureElement(item({ image }), { sizes: "50vw", ...options }).style.objectPosition;
  assert.equal(positionOf({}), "25% 100%");
  assert.equal(positionOf({ uncropped: true }), "");
});

test("a card changes when its thumbnails were made again", () => {
  const imageAt = (url) => ({ ...IMAGE, thumbnails: [{ ...IMAGE.thumbnails[0], url }] });
  const pictureOf = (url) => frameOf(item({ image: imageAt(url) }), "3rem").dataset.picture;
  assert.equal(pictureOf("https://b/200?signature=1"), pictureOf("https://b/200?signature=2"));
  assert.notEqual(pictureOf("https://b/200"), pictureOf("https://b/200-300-250"));
});
