import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { pixelsOf, smallSize } from "../../chalicelib/web/thumbhash.js";

const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));

describe("thumbhash", () => {
  test("a hash is decoded as by the published algorithm", () => {
    const pixels = pixelsOf(bytes("HAkGbZpxeoawaIiIeKiGiHDb+Ih9"), { width: 32, height: 24 });
    const corners = [0, 31, 12 * 32 + 16, 23 * 32, 24 * 32 - 1].map((at) => [...pixels.slice(4 * at, 4 * at + 4)]);
    assert.deepEqual(corners, [
      [241, 1, 58, 255], [54, 255, 29, 255], [129, 131, 91, 255], [42, 12, 255, 255], [185, 225, 2, 255],
    ]);
  });

  test("a placeholder has the proportions of the picture", () => {
    assert.deepEqual(smallSize(600 / 400), { width: 30, height: 20 });
    assert.deepEqual(smallSize(3 / 4), { width: 24, height: 32 });
    assert.deepEqual(smallSize(1 / 200), { width: 1, height: 32 });
  });
});
