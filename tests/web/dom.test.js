import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser.js";
import { formatBytes, h, plural, problemBox, relativeTime, showNotice } from "../../chalicelib/web/dom.js";

test("text is never parsed as HTML", () => {
  const element = h("p", { title: "<b>" }, "<img src=x onerror=alert(1)>");
  assert.equal(element.children.length, 0);
  assert.equal(element.textContent, "<img src=x onerror=alert(1)>");
});

test("absent properties and children are left out", () => {
  const children = [null, undefined, false, ["a", [false, "b"]]];
  const element = h("p", { title: null, id: undefined, hidden: false, class: "one" }, ...children);
  assert.equal(element.outerHTML, '<p class="one">ab</p>');
});

test("DOM properties, attributes and listeners are distinguished", () => {
  let clicks = 0;
  const element = h("input", { type: "checkbox", checked: true, "aria-label": "Choose", onclick: () => (clicks += 1) });
  element.dispatchEvent(new Event("click"));
  assert.equal(element.checked, true);
  assert.equal(element.getAttribute("aria-label"), "Choose");
  assert.equal(clicks, 1);
});

test("times within a week are relative", () => {
  const ago = (seconds) => relativeTime(new Date(Date.now() - seconds * 1000));
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  assert.equal(ago(10), "just now");
  assert.equal(ago(50), format.format(-50, "second"));
  assert.equal(ago(5 * 60), format.format(-5, "minute"));
  assert.equal(ago(-3 * 3600 - 1), format.format(3, "hour"));
  assert.equal(ago(6 * 24 * 3600), format.format(-6, "day"));
});

test("older times are dates", () => {
  const at = new Date(Date.now() - 8 * 24 * 3600 * 1000);
  assert.equal(relativeTime(at), at.toLocaleDateString(undefined, { dateStyle: "medium" }));
});

test("sizes have a unit and few digits", () => {
  assert.equal(formatBytes(1023), "1023 bytes");
  assert.equal(formatBytes(1536), `${(1.5).toLocaleString()} KB`);
  assert.equal(formatBytes(15.6 * 1024), "16 KB");
  assert.equal(formatBytes(5 * 1024 * 1024), "5 MB");
});

test("one is not plural", () => {
  assert.deepEqual([0, 1, 2].map((count) => plural(count, "item")), ["0 items", "1 item", "2 items"]);
});

test("an error shows its details once, and its request", () => {
  const details = [{ path: "$.name", message: "name must be text" }, { path: "$.age", message: "age is required" }];
  const fields = { error: "VALIDATION_FAILED", requestId: "r-1", details };
  const problem = Object.assign(new Error("age is required"), fields);
  const box = problemBox(problem);
  assert.equal(box.getAttribute("role"), "alert");
  assert.deepEqual([...box.querySelectorAll("li")].map((one) => one.textContent), ["$.name name must be text"]);
  assert.equal(box.querySelector(".request").textContent, "VALIDATION_FAILED · request r-1");
});

test("an error without details is its message", () => {
  assert.equal(problemBox(new Error("No network")).textContent, "No network");
});

test("a failed notice can be dismissed", () => {
  const notices = document.querySelector("#tray .notices");
  const notice = showNotice("Deleted one");
  const dismiss = notices.querySelector("[aria-label='Dismiss: Deleted one']");
  assert.equal(dismiss.hidden, true);
  notice.fail(new Error("It was not deleted."));
  assert.equal(dismiss.hidden, false);
  dismiss.click();
  assert.equal(notices.children.length, 0);
});
