import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { json, setOnline, stubFetch } from "./browser.js";
import { LiveUpdates, pauseAfter } from "../../chalicelib/web/live-updates.js";
import { setToken } from "../../chalicelib/web/oidc-session.js";

test("an unused page and slow changes make requests rarer", () => {
  const [second, minute] = [1000, 60_000];
  assert.deepEqual([0, minute, 5 * minute, 600 * minute].map((idle) => pauseAfter(idle, 0)),
    [2 * second, 2 * second, 5 * second, minute]);
  assert.equal(pauseAfter(0, 3 * second), 12 * second);
});

describe("live updates", () => {
  let shows;
  let answers;
  let requests;
  let live;
  let isReady;
  let isUnfinished;
  const number = (value) => () => json({ number: value }, { headers: { ETag: `"${value}"` } });
  const same = () => new Response(null, { status: 304 });
  const failure = (status) => () => json({ error: "X", message: "No." }, { status });

  beforeEach(() => {
    [shows, answers, isReady, isUnfinished] = [0, [], true, false];
    mock.method(Math, "random", () => 0);
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    mock.method(performance, "now", () => Date.now());
    requests = stubFetch(() => (answers.shift() ?? same)());
    const show = async () => (shows += 1) > 0;
    live = new LiveUpdates({ isReady: () => isReady, show, isUnfinished: () => isUnfinished });
  });

  afterEach(() => {
    live.stop();
    mock.timers.reset();
    mock.restoreAll();
    setOnline(true);
  });

  /** Let time pass. */
  async function pass(milliseconds) {
    for (let passed = 0; passed < milliseconds; passed += 500) {
      mock.timers.tick(500);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
    }
  }

  async function start(...first) {
    answers = first;
    live.check();
    await pass(500);
  }

  test("only a new number has changes shown", async () => {
    await start(number(7), same, number(8), same);
    await pass(10_000);
    assert.equal(shows, 2); // The list is older than the first number.
    assert.equal(requests[0].init.headers["If-None-Match"], undefined);
    assert.deepEqual(requests.slice(1, 4).map(({ init }) => init.headers["If-None-Match"]), ['"7"', '"7"', '"8"']);
    assert.ok(requests.length >= 5 && requests.length <= 6);
  });

  test("what could not be shown is tried again", async () => {
    const show = async () => (shows += 1) > 3;
    live = new LiveUpdates({ isReady: () => true, isUnfinished: () => false, show });
    await start(number(1), number(2));
    await pass(20_000);
    assert.equal(shows, 4);
  });

  test("waits grow after failures, and a refused token ends it", async () => {
    await start(number(1), ...Array(4).fill(failure(503)), failure(401));
    await pass(40_000);
    assert.equal(requests.length, 6);
    await pass(60_000);
    assert.equal(requests.length, 6);
    setToken("another");
    live.check();
    await pass(500);
    assert.equal(requests.length, 7);
    setToken("");
  });

  test("nothing is requested offline or in a hidden page", async () => {
    isReady = false;
    await start();
    isReady = true;
    setOnline(false);
    await live.check();
    setOnline(true);
    const hidden = mock.getter(document, "hidden", () => true);
    await live.check();
    hidden.mock.restore();
    assert.equal(requests.length, 0);
    await live.check();
    assert.equal(requests.length, 1);
  });

  test("input ends a long pause", async () => {
    await start(number(1));
    await pass(30 * 60_000);
    const before = requests.length;
    assert.ok(before > 200 && before < 240, String(before)); // 60 in two minutes, and 60 × ln 15 after that
    live.use();
    await pass(500);
    assert.equal(requests.length, before + 1);
  });

  test("an unfinished picture is looked for without a new number", async () => {
    isUnfinished = true;
    await start(number(1));
    await pass(40_000);
    assert.equal(shows, 3);
  });
});
