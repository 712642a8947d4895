import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { setOnline } from "./browser.js";
import { Problem } from "../../chalicelib/web/api.js";
import { PollTimeout, poll, retry, retryDelay, wait } from "../../chalicelib/web/poll-and-retry.js";

describe("poll-and-retry", () => {
  const problem = (status, retryAfter = 0) => new Problem({ message: `status ${status}`, status, retryAfter });

  beforeEach(() => {
    setOnline(true);
    mock.method(Math, "random", () => 0);
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
  });

  afterEach(() => {
    mock.timers.reset();
    mock.restoreAll();
  });

  /** Let time pass until a promise is settled; return it. The steps are as short as the shortest delay. */
  async function settled(promise, milliseconds = 600_000) {
    let isSettled = false;
    const end = () => (isSettled = true);
    promise.then(end, end);
    for (let passed = 0; passed < milliseconds && !isSettled; passed += 100) {
      mock.timers.tick(100);
      await new Promise(setImmediate);
    }
    assert.ok(isSettled, "The promise is not settled.");
    return promise;
  }

  /** Return a function that returns or throws these, one after the other, and the last one again and again. */
  function answers(...list) {
    const check = async () => {
      check.calls += 1;
      const next = list.length > 1 ? list.shift() : list[0];
      if (next instanceof Error) throw next;
      return next;
    };
    check.calls = 0;
    return check;
  }

  test("polling ends with the first value", async () => {
    const check = answers(undefined, undefined, 0);
    assert.equal(await settled(poll(check)), 0);
    assert.equal(check.calls, 3);
  });

  test("polling waits out temporary problems and says so", async () => {
    const texts = [];
    const result = poll(answers(problem(503), problem(429), "done"), { onRetry: (text) => texts.push(text) });
    assert.equal(await settled(result), "done");
    assert.deepEqual(texts, ["The server does not respond, retrying", "Too many requests, retrying"]);
  });

  test("after a success, delays after failures are short again", async () => {
    const started = Date.now();
    await settled(poll(answers(problem(503), problem(503), problem(503), undefined, problem(503), "done")));
    assert.ok(Date.now() - started < 11_000); // 0.5 + 1 + 2 + 4 + 1.5 + 1 seconds; otherwise 8 at the end
  });

  test("polling ends with other problems", async () => {
    await assert.rejects(settled(poll(answers(problem(404)))), { status: 404 });
    await assert.rejects(settled(poll(answers(new TypeError("a bug")))), TypeError);
  });

  test("polling times out", async () => {
    const started = Date.now();
    await assert.rejects(settled(poll(answers(undefined), { seconds: 60 })), PollTimeout);
    assert.ok(Date.now() - started > 60_000 && Date.now() - started < 66_000);
  });

  test("a check can restart the timeout", async () => {
    let calls = 0;
    const started = Date.now();
    const result = poll(async (restart) => {
      calls += 1;
      if (calls < 10) restart();
    }, { seconds: 20 });
    await assert.rejects(settled(result), PollTimeout);
    assert.ok(Date.now() - started > 35_000);
  });

  test("the time offline does not count", async () => {
    setOnline(false);
    const check = answers(problem(0));
    const result = poll(check, { seconds: 10 });
    result.catch(() => {});
    for (let passed = 0; passed < 120; passed += 1) {
      mock.timers.tick(1000);
      await new Promise(setImmediate);
    }
    setOnline(true);
    await assert.rejects(settled(result), PollTimeout);
    assert.ok(check.calls > 3);
  });

  test("polling is not faster than the shortest delay", async () => {
    const started = Date.now();
    await settled(poll(answers(undefined, undefined, 1), { minDelay: () => 3000 }));
    assert.ok(Date.now() - started >= 9000);
  });

  test("an abort ends polling with its reason", async () => {
    const stopper = new AbortController();
    const result = poll(answers(undefined), { signal: stopper.signal });
    stopper.abort(new Error("Cancelled"));
    await assert.rejects(settled(result), { message: "Cancelled" });
  });

  test("an abort during a check ends polling with its reason", async () => {
    const stopper = new AbortController();
    const check = async () => {
      stopper.abort(new Error("Cancelled"));
      throw problem(0);
    };
    await assert.rejects(settled(poll(check, { signal: stopper.signal })), { message: "Cancelled" });
  });

  test("actions are repeated while there are too many requests", async () => {
    const action = answers(problem(429), problem(429), "sent");
    assert.equal(await settled(retry(action)), "sent");
    assert.equal(action.calls, 3);
  });

  test("actions are not repeated after other problems", async () => {
    for (const status of [0, 400, 500, 503]) {
      const action = answers(problem(status));
      await assert.rejects(settled(retry(action)), { status });
      assert.equal(action.calls, 1);
    }
  });

  test("an abort ends repetitions with its reason", async () => {
    const stopper = new AbortController();
    const action = async () => {
      stopper.abort(new Error("Cancelled"));
      throw problem(0);
    };
    await assert.rejects(settled(retry(action, { signal: stopper.signal })), { message: "Cancelled" });
  });

  test("actions are repeated while the browser is offline", async () => {
    setOnline(false);
    const action = answers(problem(0), "sent");
    const texts = [];
    assert.equal(await settled(retry(action, { onRetry: (text) => texts.push(text) })), "sent");
    assert.match(texts[0], /Offline/);
  });

  test("delays double up to half a minute", () => {
    const delays = [0, 1, 2, 3, 4, 5, 9].map((failures) => retryDelay(problem(503), failures));
    assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  });

  test("delays are spread by a fifth", () => {
    mock.method(Math, "random", () => 1);
    assert.equal(retryDelay(problem(503), 0), 1200);
  });

  test("delays heed Retry-After up to two minutes", () => {
    assert.equal(retryDelay(problem(429, 60), 0), 60_000);
    assert.equal(retryDelay(problem(429, 3600), 0), 120_000);
  });

  test("a wait ends when the browser is online again", async () => {
    let isOver = false;
    const waiting = wait(60_000).then(() => (isOver = true));
    await new Promise(setImmediate);
    assert.equal(isOver, false);
    dispatchEvent(new Event("online"));
    await waiting;
    assert.equal(isOver, true);
  });

  test("a wait lasts at least 15 seconds offline", async () => {
    setOnline(false);
    const started = Date.now();
    await settled(wait(10));
    assert.ok(Date.now() - started >= 15_000);
  });

  test("a wait that is aborted before it starts ends at once", async () => {
    await assert.rejects(wait(60_000, AbortSignal.abort(new Error("Cancelled"))), { message: "Cancelled" });
  });
});
