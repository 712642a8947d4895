import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { fileName } from "../../chalicelib/web/item-pictures.js";

describe("item-pictures", () => {
  test("a download has the item's name and the type's extension", () => {
    assert.equal(fileName("Blue vase", "image/jpeg"), "Blue vase.jpg");
    assert.equal(fileName("Émail", "image/tiff"), "Émail.tif");
  });

  test("characters that file systems refuse are left out", () => {
    assert.equal(fileName("../a: b/c?\n\"d\"", "image/png"), "a b c d.png");
    assert.equal(fileName("...", "image/webp"), "picture.webp");
  });

  test("long names are cut between characters", () => {
    assert.equal(fileName("🏺".repeat(200), "image/gif"), `${"🏺".repeat(100)}.gif`);
  });
});
