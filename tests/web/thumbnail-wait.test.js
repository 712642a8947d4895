import assert from "node:assert/strict";
import { afterEach, describe, mock, test } from "node:test";
import "./browser.js";
import { UploadObserver } from "../../chalicelib/web/thumbnail-wait.js";

describe("thumbnail-wait", () => {
  const READY = (id) => ({ status: "ready", url: `https://bucket.example/originals/item-1/${id}?signature=x` });
  const FAILED = { status: "failed", error: { error: "IMAGE_INVALID", message: "It is damaged." } };

  /** Return what an observer finds in each of some states. */
  function results(before, ...states) {
    const observer = new UploadObserver({ uploadId: "upload-5", before: { version: 3, ...before } });
    return states.map((state) => observer.resultIn(state)?.state);
  }

  afterEach(() => mock.timers.reset());

  test("an upload is ready when its own picture is shown", () => {
    const states = [
      { version: 4, image: { status: "pending" } }, { version: 5, image: { status: "processing" } },
      { version: 6, image: READY("upload-5") },
    ];
    assert.deepEqual(results({}, ...states), [undefined, undefined, "ready"]);
  });

  test("the previous picture is not the upload's", () => {
    assert.deepEqual(results({ image: READY("upload-1") }, { version: 3, image: READY("upload-1") }), [undefined]);
  });

  test("a newer picture stops the upload", () => {
    assert.deepEqual(results({}, { version: 6, image: READY("upload-6") }), ["stopped"]);
  });

  test("a failure after the upload is recorded is its own", () => {
    const observer = new UploadObserver({ uploadId: "upload-5", before: { version: 3 } });
    observer.resultIn({ version: 4, image: { status: "processing" } });
    const result = observer.resultIn({ version: 5, image: FAILED });
    assert.deepEqual([result.state, result.problem.message], ["failed", "It is damaged."]);
  });

  test("the previous picture's failure is not the upload's", () => {
    const before = { image: FAILED };
    const states = [{ version: 3, image: FAILED }, { version: 4, image: FAILED }];
    assert.deepEqual(results(before, ...states), [undefined, undefined]);
    assert.deepEqual(results(before, { version: 5, image: FAILED }), ["failed"]);
  });

  test("a failure of an item without a picture is the upload's", () => {
    assert.deepEqual(results({}, { version: 4, image: FAILED }), ["failed"]);
  });

  test("a picture that was recorded and is missing was removed", () => {
    const states = [{ version: 4, image: { status: "processing" } }, { version: 5 }];
    assert.deepEqual(results({}, ...states), [undefined, "stopped"]);
  });

  test("a picture is missing for a while before it is recorded", () => {
    mock.timers.enable({ apis: ["Date"] });
    const observer = new UploadObserver({ uploadId: "upload-5", before: { version: 3 } });
    assert.equal(observer.resultIn({ version: 3 }), undefined);
    mock.timers.tick(15_000);
    assert.equal(observer.resultIn({ version: 3 }), undefined);
    mock.timers.tick(1);
    assert.equal(observer.resultIn({ version: 3 })?.state, "stopped");
  });

  test("a picture that was shown meanwhile is missing anew", () => {
    mock.timers.enable({ apis: ["Date"] });
    const observer = new UploadObserver({ uploadId: "upload-5", before: { version: 3 } });
    observer.resultIn({ version: 3 });
    mock.timers.tick(15_000);
    observer.resultIn({ version: 4, image: { status: "pending" } });
    mock.timers.tick(1000);
    assert.equal(observer.resultIn({ version: 5 }), undefined);
  });
});
