import assert from "node:assert/strict";
import { describe, test } from "node:test";
import "./browser.js";
import { csvValue, parseCsv } from "../../chalicelib/web/csv.js";
import { toJson } from "../../chalicelib/web/exact-json.js";
import { SchemaReader } from "../../chalicelib/web/json-schema.js";

const cellsIn = (text) => parseCsv(text).rows.map(({ cells }) => cells);
const reader = new SchemaReader({});
const value = (cell, schema) => toJson(csvValue(cell, schema, reader));

describe("csv", () => {
  test("the delimiter is found out", () => {
    for (const delimiter of [",", ";", "\t"]) {
      const { columns, rows } = parseCsv(["a ", " b\n1", '"x,;\t"'].join(delimiter));
      assert.deepEqual([columns, rows], [["a", "b"], [{ line: 2, cells: ["1", "x,;\t"] }]]);
    }
    assert.deepEqual(parseCsv("only\n1").columns, ["only"]);
  });

  test("rows keep the numbers of their lines", () => {
    const { rows } = parseCsv('\na,b\r\n\r\n1,"two\nlines ""quoted"""\r,,\n3\n');
    assert.deepEqual(rows, [{ line: 4, cells: ["1", 'two\nlines "quoted"'] }, { line: 7, cells: ["3"] }]);
  });

  test("only cells after the last column may be empty", () => {
    assert.deepEqual(cellsIn("a,b\n1,2,,\n"), [["1", "2", "", ""]]);
    assert.throws(() => parseCsv("a,b\n1,2,3"), /line 2: the row has 3 cells, more than the header row/);
  });

  test("a file without columns or with wrong quotes is refused", () => {
    assert.throws(() => parseCsv("\n\n"), /it has no header row/);
    assert.throws(() => parseCsv("a,,b\n1"), /line 1, column 2: it has no name/);
    assert.throws(() => parseCsv("a,a\n1"), /line 1, column 2: “a” is already the name/);
    assert.throws(() => parseCsv('a\n"x" y'), /line 2: text follows a closing quote/);
    assert.throws(() => parseCsv('a\n1\n"x'), /line 3: a double quote .* is not closed/);
    assert.deepEqual(cellsIn('a\n1" pipe'), [['1" pipe']]);
  });

  test("a long quoted cell is read", () => {
    assert.equal(cellsIn(`a\n"${"x".repeat(2_000_000)}"`)[0][0].length, 2_000_000);
  });

  test("undeclared numbers and booleans are guessed", () => {
    assert.deepEqual(["12.50", "TRUE", "-0", "12E3", "007", "12,5", " 1 ", "1".repeat(39)].map((one) => value(one)), [
      "12.50", "true", "-0", '"12E3"', '"007"', '"12,5"', "1", `"${"1".repeat(39)}"`,
    ]);
  });

  test("declared values have their types", () => {
    const list = { type: "array", items: { type: "number" } };
    assert.equal(value("1e3", { type: "number" }), "1e3");
    assert.equal(value("12", { type: "string" }), '"12"');
    assert.equal(value("12", { enum: ["12", "13"] }), '"12"');
    assert.equal(value("cheap", { type: "number" }), '"cheap"');
    assert.equal(value("1 | 2.50", list), "[1,2.50]");
    assert.equal(value("[1]", list), "[1]");
    assert.equal(value('{"a": 1}', { type: "object" }), '{"a":1}');
    assert.equal(value("5", { anyOf: [{ type: "integer" }, { type: "null" }] }), "5");
    assert.equal(value("5", {}), "5");
  });
});
