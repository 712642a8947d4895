import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import "./browser.js";
import { hideUpload, showUpload, shownUpload, withUpload } from "../../chalicelib/web/upload-preview.js";

describe("upload-preview", () => {
  const upload = (fields) => ({ text: "Uploading", state: "processing", url: null, buttons: () => [], ...fields });

  /** Return a frame of an item in the page. */
  function frame(id = "item-1") {
    const element = document.createElement("div");
    element.className = "frame";
    document.body.append(element);
    return withUpload(element, id);
  }

  const stateOf = (element) => element.querySelector(".upload-state")?.textContent;

  afterEach(async () => {
    await hideUpload("item-1");
    document.querySelectorAll("body > .frame").forEach((one) => one.remove());
  });

  test("every frame of the item shows its upload", () => {
    const [first, second, other] = [frame(), frame(), frame("item-2")];
    showUpload("item-1", upload({ url: "blob:1" }));
    showUpload("item-1", upload({ url: "blob:1", text: "Processing" }));
    assert.deepEqual([first, second, other].map(stateOf), ["Processing", "Processing", undefined]);
    assert.equal(first.querySelectorAll("img.preview").length, 1);
  });

  test("a frame that is drawn later shows the upload", () => {
    showUpload("item-1", upload({ url: "blob:1" }));
    const late = frame();
    assert.equal(stateOf(late), "Uploading");
    assert.equal(late.querySelector("img").getAttribute("src"), "blob:1");
  });

  test("a picture that the browser cannot decode has no preview", () => {
    const element = frame();
    showUpload("item-1", upload());
    assert.equal(element.querySelector("img"), null);
    assert.equal(stateOf(element), "Uploading");
  });

  test("a failed upload says why", () => {
    const element = frame();
    showUpload("item-1", upload({ text: "Picture failed", state: "failed", problem: new Error("It is damaged.") }));
    const chip = element.querySelector(".upload-state");
    assert.deepEqual([chip.textContent, chip.title], ["Picture failed", "It is damaged."]);
    assert.ok(chip.classList.contains("failed"));
  });

  test("the preview stays until the item's picture is loaded", async () => {
    const element = frame();
    const picture = document.createElement("img");
    let decoded;
    picture.decode = () => new Promise((resolve) => (decoded = resolve));
    element.prepend(picture);
    showUpload("item-1", upload({ url: "blob:1" }));
    const hidden = hideUpload("item-1");
    assert.equal(shownUpload("item-1"), undefined);
    assert.ok(element.querySelector(".preview"));
    decoded();
    await hidden;
    assert.equal(element.querySelector(".preview, .upload-state"), null);
    assert.equal(element.classList.contains("uploading"), false);
  });

  test("a newer upload stays while an older one is hidden", async () => {
    const element = frame();
    showUpload("item-1", upload({ url: "blob:1" }));
    const hidden = hideUpload("item-1");
    showUpload("item-1", upload({ url: "blob:2" }));
    await hidden;
    assert.equal(element.querySelector(".preview").getAttribute("src"), "blob:2");
  });
});
