import assert from "node:assert/strict";
import { afterEach, describe, mock, test } from "node:test";
import { json, stubFetch } from "./browser.js";
import { criteriaOf, exportChoices, openExport, progressText, resume } from "../../chalicelib/web/exports.js";
import { setToken } from "../../chalicelib/web/oidc-session.js";
import { DEFAULTS } from "../../chalicelib/web/page-url.js";

const FILES = [{ name: "items.csv", bytes: 2048, url: "https://bucket.example/items.csv" }];
const AT = "2026-02-01T12:00:00.000Z";
const status = (fields) => ({
  id: "export-1", status: "running", format: "csv", items: 0, files: [], expiresAt: AT, ...fields,
});
const done = status({ status: "done", items: 5, total: 5, files: FILES });
const panel = () => document.querySelector(".progress-panel");
const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
};

/** Let so many polls come. */
async function poll(times) {
  for (let turn = 0; turn < times; turn += 1) {
    await settle();
    mock.timers.tick(5000);
  }
  await settle();
}

const inDialog = (selector) => document.querySelector(`dialog.ask ${selector}`);
const submit = () => inDialog("form").dispatchEvent(new Event("submit", { cancelable: true }));

describe("exports", () => {
  afterEach(() => {
    mock.timers.reset();
    setToken(""); // which clears the panel
    sessionStorage.clear();
  });

  test("words and filters of the list select items", () => {
    const filters = "filter[price][gte]=5&filter[price][lt]=9&filter[title]=Oak";
    assert.deepEqual(criteriaOf({ q: "new", filters }), {
      filter: { price: { gte: "5", lt: "9" }, title: { eq: "Oak" } }, q: "new",
    });
    assert.deepEqual(criteriaOf({ q: "–", filters: "" }), {});
  });

  test("the selected items, those that match or all are exported", () => {
    const labels = (...given) => exportChoices(...given).map(({ label }) => label);
    assert.deepEqual(labels([], DEFAULTS), ["All items"]);
    assert.deepEqual(labels(["a", "b"], { ...DEFAULTS, q: "oak", filters: "filter[updatedAt][gt]=x" }), [
      "The 2 selected items", "Items that match the search and the filters", "All items",
    ]);
    const [many] = exportChoices(Array.from({ length: 1001 }, String), DEFAULTS);
    assert.equal(many.criteria, null);
    assert.equal(many.label, "The 1,001 selected items, but at most 1,000 can be exported");
  });

  test("the progress is in words", () => {
    assert.equal(progressText(status({ status: "queued" })), "Waiting");
    assert.equal(progressText(status({ items: 1200 })), "1,200 items so far");
    assert.equal(progressText(status({ items: 3, pictures: 1 })), "3 items, 1 picture so far");
    assert.equal(progressText(status({ items: 5, total: 5, pictures: 0 })), "5 items, making the files");
  });

  test("an export is followed to its files, which stay", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const answers = [status({ status: "queued" }), status({ items: 5, total: 5 }), done];
    const requests = stubFetch(() => json(answers.length > 1 ? answers.shift() : answers[0]));
    openExport(["item-1"]);
    inDialog('select:has([value="ndjson"])').value = "ndjson";
    inDialog("[type=checkbox]").click();
    submit();
    await poll(4);
    assert.deepEqual(JSON.parse(requests[0].init.body), { format: "ndjson", pictures: true, ids: ["item-1"] });
    assert.match(requests[1].url.pathname, /\/exports\/export-1$/);
    mock.timers.tick(60_000); // Entries that do not stay are gone.
    await settle();
    const text = /Export as NDJSON with pictures.*5 items exported.*items\.csv 2 KB.*Available until/;
    assert.match(panel().textContent, text);
    assert.equal(panel().querySelector(".downloads a").href, FILES[0].url);
  });

  test("an export is shown after a reload until dismissed", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    stubFetch(() => json(done));
    openExport();
    submit();
    await poll(2);
    const kept = sessionStorage.getItem("vitrine-exports");
    panel().querySelector('[aria-label="Dismiss Export as CSV"]').click();
    assert.equal(sessionStorage.getItem("vitrine-exports"), null);
    sessionStorage.setItem("vitrine-exports", kept);
    const requests = stubFetch(() => json(done));
    resume();
    await poll(2);
    assert.match(panel().textContent, /5 items exported/);
    assert.deepEqual(requests.map(({ init }) => init.method), ["GET"]);
  });

  test("a URL that has expired is replaced before it is opened", async () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    stubFetch(() => json(done));
    openExport();
    submit();
    await poll(2);
    const requests = stubFetch(() => json({ ...done, files: [{ ...FILES[0], url: "https://bucket.example/newer" }] }));
    mock.timers.tick(2 * 60 * 60 * 1000);
    const opened = [];
    const listener = (event) => {
      if (!event.defaultPrevented) opened.push(event.target.href);
      event.preventDefault();
    };
    addEventListener("click", listener);
    panel().querySelector(".downloads a").click();
    await poll(2);
    removeEventListener("click", listener);
    assert.deepEqual([opened, requests.length], [["https://bucket.example/newer"], 1]);
  });

  test("a failed export says why", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const error = { error: "TOO_MANY_COLUMNS", message: "Too many columns." };
    stubFetch(() => json(status({ status: "failed", error })));
    openExport();
    submit();
    await poll(2);
    assert.match(panel().textContent, /1 export failed.*Too many columns\./);
  });

  test("a cancelled question exports nothing", async () => {
    const requests = stubFetch(() => json(done));
    const exporting = openExport();
    inDialog("button").click();
    await exporting;
    assert.deepEqual([requests.length, document.querySelector("dialog.ask")], [0, null]);
  });
});
