import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DEFAULTS, parametersOf, queryOf, settingsOf } from "../../chalicelib/web/list-settings.js";

const NOW = Date.parse("2026-01-31T12:00:00Z");

describe("list-settings", () => {
  test("the URL names what differs from the defaults", () => {
    assert.equal(parametersOf(DEFAULTS), "");
    assert.equal(parametersOf({ ...DEFAULTS, view: "table", order: "asc" }), "view=table&order=asc");
  });

  test("a URL restores the settings", () => {
    const settings = { view: "table", density: "compact", order: "asc", added: "7", filter: "oak & elm #1" };
    assert.deepEqual(settingsOf(parametersOf(settings)), settings);
  });

  test("unknown values of a URL are ignored", () => {
    assert.deepEqual(settingsOf("view=map&order=up&added=8&density=&filter=&more=1"), DEFAULTS);
  });

  test("a number of days is counted from now", () => {
    const query = queryOf({ ...DEFAULTS, added: "7" }, NOW);
    assert.deepEqual(query, { order: "desc", createdAfter: "2026-01-24T12:00:00.000Z" });
  });

  test("dates include both days", () => {
    const { createdAfter, createdBefore } = queryOf({ ...DEFAULTS, added: "2026-01-01..2026-01-31" });
    assert.equal(Date.parse(createdAfter), new Date(2026, 0, 1).getTime() - 1);
    assert.equal(Date.parse(createdBefore), new Date(2026, 1, 1).getTime());
  });

  test("a missing date is no bound", () => {
    assert.deepEqual(Object.keys(queryOf({ ...DEFAULTS, added: "..2026-01-31" })), ["order", "createdBefore"]);
    assert.deepEqual(queryOf({ ...DEFAULTS, added: ".." }), { order: "desc" });
  });
});
