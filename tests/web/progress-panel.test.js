import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import "./browser.js";
import { Problem } from "../../chalicelib/web/api.js";
import { Transfer, summaryParts } from "../../chalicelib/web/progress-panel.js";
import { setToken } from "../../chalicelib/web/oidc-session.js";

describe("progress-panel", () => {
  const entries = (kind, counts) => Object.entries(counts).flatMap(([state, count]) =>
    Array(count).fill({ kind, state, failedItems: 0 }));
  const pictures = (counts) => entries("picture", counts);
  const panel = () => document.querySelector(".progress-panel");
  const buttonNamed = (name) => panel().querySelector(`[aria-label="${name}"]`);

  class Work extends Transfer {
    constructor(title, attempt) {
      super(title, "picture");
      this.attempt = attempt;
    }
  }

  afterEach(() => setToken("")); // which clears the panel

  test("pictures are counted by their state", () => {
    for (const [counts, parts] of [
      [{ running: 1 }, ["Uploading 1 picture"]],
      [{ running: 3, done: 1 }, ["1 of 4 pictures ready"]],
      [{ running: 2, done: 1, failed: 1 }, ["1 of 4 pictures ready", "1 failed"]],
      [{ done: 1 }, ["1 picture ready"]],
      [{ done: 2, failed: 1 }, ["2 pictures ready", "1 failed"]],
      [{ failed: 2 }, ["2 pictures failed"]],
      [{ stopped: 2 }, []],
    ]) assert.deepEqual(summaryParts(pictures(counts)), parts);
  });

  test("imports are counted by their state", () => {
    for (const [counts, parts] of [
      [{ running: 2 }, ["2 imports running"]], [{ done: 1 }, ["1 import done"]], [{ failed: 1 }, ["1 import failed"]],
      [{ running: 1, failed: 2 }, ["1 import running", "2 imports failed"]],
    ]) assert.deepEqual(summaryParts(entries("import", counts)), parts);
  });

  test("exports are counted by their state", () => {
    const parts = summaryParts(entries("export", { running: 1, done: 2, failed: 1 }));
    assert.deepEqual(parts, ["1 export running", "2 exports ready", "1 export failed"]);
  });

  test("an import that failed in part is done", () => {
    const partly = { kind: "import", state: "failed", failedItems: 3 };
    assert.deepEqual(summaryParts([partly]), ["1 import done", "3 items failed"]);
  });

  test("a temporary failure can be tried again", async () => {
    const problems = [new Problem({ message: "Not now.", status: 503 })];
    const work = new Work("moon.jpg", async () => {
      if (problems.length > 0) throw problems.pop();
      work.end("done", "Ready");
    });
    await work.run();
    assert.equal(work.state, "failed");
    assert.match(panel().textContent, /Not now\./);
    buttonNamed("Try again: moon.jpg").click();
    await new Promise(setImmediate);
    assert.equal(work.state, "done");
  });

  test("a lasting failure can only be dismissed", async () => {
    const work = new Work("moon.jpg", async () => {
      throw new Problem({ message: "Too large.", status: 413 });
    });
    await work.run();
    assert.equal(work.retry, undefined);
    buttonNamed("Dismiss moon.jpg").click();
    assert.equal(panel().hidden, true);
  });

  test("cancelled work ends without an error", async () => {
    const work = new Work("moon.jpg", () => new Promise((_, reject) => {
      work.signal.addEventListener("abort", () => reject(work.signal.reason));
    }));
    const running = work.run();
    buttonNamed("Cancel moon.jpg").click();
    await running;
    assert.equal(work.state, "stopped");
    assert.match(panel().textContent, /Cancelled/);
  });

  test("only the first failure is an alert", async () => {
    for (const name of ["one", "two"]) {
      await new Work(name, async () => {
        throw new Problem({ message: `${name} failed`, status: 404 });
      }).run();
    }
    assert.equal(panel().querySelectorAll("[role=alert]").length, 1);
    assert.match(panel().querySelector(".summary").textContent, /2 pictures failed/);
  });

  test("a bug is shown and thrown", async () => {
    const work = new Work("moon.jpg", async () => undefined.bug);
    await assert.rejects(work.run(), TypeError);
    assert.match(panel().textContent, /Something went wrong/);
  });

  test("leaving the page is asked about until everything is sent", async () => {
    const isPrevented = () => !dispatchEvent(new Event("beforeunload", { cancelable: true }));
    let finish;
    const work = new Work("moon.jpg", () => new Promise((resolve) => (finish = resolve)));
    const running = work.run();
    assert.equal(isPrevented(), true);
    work.markSent();
    assert.equal(isPrevented(), false);
    finish();
    await running;
  });

  test("an expired session is shown with a way to sign in", async () => {
    const work = new Work("moon.jpg", async () => {
      throw new Problem({ message: "The token has expired.", status: 401 });
    });
    await work.run();
    assert.match(panel().querySelector(".session-expired").textContent, /Enter a new one/);
    work.attempt = async () => work.end("done", "Ready");
    panel().querySelector(".session-expired input").value = "a.b.c";
    panel().querySelector(".session-expired form").dispatchEvent(new Event("submit", { cancelable: true }));
    await new Promise(setImmediate);
    assert.equal(work.state, "done");
    assert.equal(panel().querySelector(".session-expired").textContent, "");
  });

  test("sign-out cancels and clears everything", async () => {
    setToken("a.b.c");
    const work = new Work("moon.jpg", () => new Promise((_, reject) => {
      work.signal.addEventListener("abort", () => reject(work.signal.reason));
    }));
    const running = work.run();
    setToken("");
    await running;
    assert.equal(panel().hidden, true);
    assert.equal(panel().querySelectorAll("li").length, 0);
  });
});
