import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Slots } from "../../chalicelib/web/uploads.js";

describe("slots", () => {
  const settle = () => new Promise(setImmediate);

  /** Start an action that runs until it is ended. */
  function start(slots, signal = new AbortController().signal) {
    const action = { isRunning: false };
    action.done = slots.run(() => {
      action.isRunning = true;
      return new Promise((resolve, reject) => Object.assign(action, { end: resolve, fail: reject }));
    }, signal);
    return action;
  }

  test("no more actions run than there are slots", async () => {
    const slots = new Slots(2);
    const actions = [start(slots), start(slots), start(slots)];
    await settle();
    assert.deepEqual(actions.map((one) => one.isRunning), [true, true, false]);
    actions[0].end("result");
    assert.equal(await actions[0].done, "result");
    await settle();
    assert.equal(actions[2].isRunning, true);
  });

  test("a failure frees its slot", async () => {
    const slots = new Slots(1);
    const [first, second] = [start(slots), start(slots)];
    await settle();
    first.fail(new Error("failed"));
    await assert.rejects(first.done, { message: "failed" });
    await settle();
    assert.equal(second.isRunning, true);
  });

  test("an aborted action leaves the queue", async () => {
    const slots = new Slots(1);
    const stopper = new AbortController();
    const [first, second, third] = [start(slots), start(slots, stopper.signal), start(slots)];
    await settle();
    stopper.abort(new Error("Cancelled"));
    await assert.rejects(second.done, { message: "Cancelled" });
    first.end();
    await settle();
    assert.deepEqual([second.isRunning, third.isRunning], [false, true]);
  });
});
