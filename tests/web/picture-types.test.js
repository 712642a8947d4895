import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { PICTURE_TYPES, pictureType, sizeProblem, typeProblem } from "../../chalicelib/web/picture-types.js";

describe("picture-types", () => {
  const file = (name, type = "") => new File(["x"], name, { type });

  test("a picture's type follows from the file's type or name", () => {
    assert.equal(pictureType(file("a.bin", "image/png")), "image/png");
    assert.equal(pictureType(file("a.JPG")), "image/jpeg");
    assert.equal(pictureType(file("scan.tif", "application/octet-stream")), "image/tiff");
    assert.equal(pictureType(file("a.heic", "image/heic")), undefined);
    assert.equal(pictureType(file("picture")), undefined);
  });

  test("pickers offer no HEIC", () => {
    assert.ok(PICTURE_TYPES.split(",").includes("image/jpeg"));
    assert.ok(!PICTURE_TYPES.includes("heic"));
  });

  test("an accepted picture has no problem", () => {
    assert.equal(typeProblem(file("a.jpg")), null);
  });

  test("the problem of a HEIC file says how to save it", () => {
    for (const one of [file("a.HEIC"), file("a", "image/heif")]) {
      assert.match(typeProblem(one).message, /^HEIC is not supported: save the picture as JPEG.*on an iPhone:/);
    }
  });

  test("unsupported kinds are named", () => {
    assert.match(typeProblem(file("a", "application/pdf")).message, /^PDF is not supported/);
    assert.match(typeProblem(file("a", "image/svg+xml")).message, /^SVG is not supported: [^{]*$/);
    assert.match(typeProblem(file("notes.txt")).message, /is not a picture in a format that is recognised/);
  });

  test("a file over the limit is too large", () => {
    assert.equal(sizeProblem(file("a.jpg"), 1), null);
    assert.match(sizeProblem(file("a.jpg"), 0).message, /at most 0 bytes; this one has 1\./);
  });
});
