import assert from "node:assert/strict";
import { afterEach, describe, mock, test } from "node:test";
import "./browser.js";
import { Problem } from "../../chalicelib/web/api.js";
import { BulkRun, runForEach } from "../../chalicelib/web/item-writes.js";

const IDS = Array.from({ length: 10 }, (_, index) => `item-${index}`);
const tooMany = () => new Problem({ status: 429, message: "Too many.", retryAfter: 7 });
const broken = () => new Problem({ status: 500, message: "It broke." });
const notices = () => document.querySelector("#tray .notices");
const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
};

describe("bulk-run", () => {
  afterEach(() => {
    mock.timers.reset();
    notices().replaceChildren();
  });

  test("three requests are under way at most", async () => {
    let now = 0;
    let most = 0;
    const result = await runForEach(IDS, async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise(setImmediate);
      now -= 1;
    });
    assert.deepEqual([most, result], [3, { failed: [], left: [] }]);
  });

  test("failures do not stop the others", async () => {
    const progress = [];
    const action = async (id) => {
      if (id === "item-4") throw broken();
    };
    const { failed, left } = await runForEach(IDS, action, { onProgress: (done) => progress.push(done) });
    assert.deepEqual(failed.map(({ id, problem }) => [id, problem.message]), [["item-4", "It broke."]]);
    assert.deepEqual([left, progress.at(-1)], [[], 10]);
  });

  test("too many requests are waited out as long as the API asks", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    mock.method(Math, "random", () => 0);
    let calls = 0;
    const run = runForEach(["item-1"], async () => {
      calls += 1;
      if (calls === 1) throw tooMany();
    });
    await settle();
    mock.timers.tick(6999);
    await settle();
    assert.equal(calls, 1);
    mock.timers.tick(1);
    assert.deepEqual([await run, calls], [{ failed: [], left: [] }, 2]);
    mock.restoreAll();
  });

  test("after a stop the rest is left", async () => {
    const stopper = new AbortController();
    const done = [];
    const action = async (id) => {
      done.push(id);
      if (done.length === 4) stopper.abort(new Error("Stopped"));
    };
    const { left } = await runForEach(IDS, action, { signal: stopper.signal });
    assert.deepEqual([...done, ...left], IDS);
  });

  test("what failed is listed and can be tried again", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const tried = [];
    const action = async (id) => {
      tried.push(id);
      if (tried.length <= 10 && id < "item-2") throw broken();
    };
    await new BulkRun(action, { running: "Setting", done: "Set" }).run(IDS);
    assert.match(notices().textContent, /Set: 8 items · 2 failed.*item-0 It broke\./);
    notices().querySelector("button").click();
    await settle();
    assert.deepEqual(tried.slice(10), ["item-0", "item-1"]);
    assert.equal(notices().querySelector("strong").textContent, "Set: 2 items");
  });

  test("the notice says that the page has to stay open", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    let finish;
    const run = new BulkRun(() => new Promise((resolve) => (finish = resolve)), { running: "Setting", done: "Set" });
    const ended = run.run(["item-1"]);
    assert.match(notices().textContent, /Setting: 1 item.*Keep this page open/);
    const leaving = new Event("beforeunload", { cancelable: true });
    dispatchEvent(leaving);
    assert.equal(leaving.defaultPrevented, true);
    finish();
    await ended;
    const leavingLater = new Event("beforeunload", { cancelable: true });
    dispatchEvent(leavingLater);
    assert.equal(leavingLater.defaultPrevented, false);
  });
});
