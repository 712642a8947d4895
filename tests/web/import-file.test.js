import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser.js";
import { isImportFile, rowsFile } from "../../chalicelib/web/file-intake.js";
import {
  describedColumns, entryProblems, likelyKey, possibleKeys, readImport,
} from "../../chalicelib/web/import-file.js";
import { countsText } from "../../chalicelib/web/imports.js";

const read = (name, content) => readImport(new File([content], name));

test("an array becomes a list of items", async () => {
  const content = await read("a.json", ' [{"n": 1.10}] ');
  const { body, type, lines } = content;
  assert.deepEqual([body, type, lines], ['{"items": [{"n": 1.10}] }', "application/json", null]);
});

test("a single item becomes a list of one", async () => {
  assert.equal((await read("a.json", '{\n  "n": 1.10\n}')).body, '{"items":[{\n  "n": 1.10\n}]}');
});

test("an object with items is sent as it is", async () => {
  assert.equal((await read("a.ndjson", '{"items": [{"n": 1}]}')).body, '{"items": [{"n": 1}]}');
});

test("lines keep their numbers in the file", async () => {
  const content = await read("a.ndjson", '{"a": 1}\r\n\r\n  \t\r{"a": 2}\n{"a": \n');
  assert.equal(content.type, "application/x-ndjson");
  assert.deepEqual(content.lines, [1, 4, 5]);
});

test("lines in a .json file are lines if all are objects", async () => {
  assert.deepEqual((await read("a.json", '{"a": 1}\n{"a": 2}')).lines, [1, 2]);
});

test("a syntax error in a .json file is shown", async () => {
  await assert.rejects(read("a.json", '[{"a": 1},]'), /This file is not valid JSON: .* Nothing was imported\./);
  await assert.rejects(read("a.json", '{"a": 1}\n5'), /This file is not valid JSON/);
});

test("a single value is no item", async () => {
  for (const text of ["42", '"text"', "null", "true"]) {
    await assert.rejects(read("a.json", text), /contains no items/);
  }
});

test("a file over 5 MB is not read", async () => {
  const file = new File([], "a.ndjson");
  Object.defineProperty(file, "size", { value: 5 * 1024 * 1024 + 1 });
  await assert.rejects(readImport(file), { status: 413, message: /An import may have at most 5 MB/ });
});

test("what is wrapped counts too", async () => {
  const rest = 5 * 1024 * 1024 - '[{"a":""}]'.length;
  await assert.rejects(read("a.json", `[{"a":"${"x".repeat(rest)}"}]`), { status: 413 });
});

test("files to import are known by their names", () => {
  const names = ["a.json", "a.NDJSON", "a.b.jsonl", "a.CSV", "a.tsv", "a.png", "json", "a.json.txt"];
  const imported = names.filter((name) => isImportFile(new File([], name)));
  assert.deepEqual(imported, ["a.json", "a.NDJSON", "a.b.jsonl", "a.CSV", "a.tsv", "json"]);
});

test("pasted rows and JSON are files to import", () => {
  const nameOf = (text) => rowsFile(text)?.name ?? "none";
  assert.deepEqual(["a\tb\n1\t2", "a;b\r\n1;2\r\n"].map(nameOf), ["pasted.csv", "pasted.csv"]);
  assert.equal(nameOf(' {"a": 1}'), "pasted.ndjson");
  assert.deepEqual(["Dear all,\nhow are you", "a,b", ""].map(nameOf), ["none", "none", "none"]);
});

test("a file with too many items, or none, is not sent", async () => {
  await assert.rejects(read("a.ndjson", "{}\n".repeat(10_001)), { status: 413, message: /at most 10,000 items/ });
  await assert.rejects(read("a.json", "[]"), /contains no items/);
  await assert.rejects(read("a.csv", "a,b\n"), /contains no items/);
});

const schemas = {
  ItemFields: {
    type: "object",
    required: ["title"],
    properties: {
      title: { type: "string", maxLength: 5 },
      price: { type: "number", minimum: 0 },
      tags: { type: "array", items: { type: "string" } },
      due: { type: "string", format: "date" },
      state: { enum: ["new", "used"] },
    },
  },
};
const readWith = (name, content) => readImport(new File([content], name), schemas);
const problems = (content, key = "") =>
  entryProblems(content, key, schemas).map(({ place, message }) => `${place}: ${message}`);

test("rows are read as the API reads them", async () => {
  const content = await readWith("a.csv", "title;price;tags;size\nOak;12.50;a|b;5\nAsh;;;\n");
  assert.deepEqual([content.type, content.lines, content.entries[1]], ["text/csv", [2, 3], { title: "Ash" }]);
  assert.deepEqual(content.entries[0].tags, ["a", "b"]);
  assert.deepEqual(describedColumns(content, schemas).map(({ name, type, isDeclared }) => [name, type, isDeclared]), [
    ["title", "text", true], ["price", "number", true], ["tags", "list", true], ["size", "number", false],
  ]);
});

test("what the API will refuse is found", async () => {
  const rows = ["Maple,1", ",1", "Oak,cheap", "Oak,-1", "Oak,1"].join("\n");
  assert.deepEqual(problems(await readWith("a.csv", `title,price\n${rows}`)), [
    "Line 3: title is missing", "Line 4: price must be a number", "Line 5: price: Enter 0 or more",
  ]);
  const lines = ['{"title": "Birches"}', "[1]", "{", '{"title": 5}', '{"title": "a", "id": 7}',
    '{"title": "a", "due": "soon"}', '{"title": "a", "state": "old"}', '{"title": "a", "tags": "b"}'];
  assert.deepEqual(problems(await readWith("a.ndjson", lines.join("\n"))), [
    "Line 1: title: Enter at most 5 characters; these are 7", "Line 2: This is not a JSON object",
    "Line 3: This is not valid JSON", "Line 4: title must be text", "Line 5: id is set by Vitrine",
    "Line 6: due must be a date, such as 2026-01-31", "Line 7: state is no choice", "Line 8: tags must be a list",
  ]);
});

test("undeclared fields are a problem if they are not allowed", async () => {
  const closed = { ItemFields: { ...schemas.ItemFields, additionalProperties: false } };
  const content = await readWith("a.json", '{"title": "Oak", "size": 5}');
  assert.deepEqual(entryProblems(content, "", closed).map(({ message }) => message), ["size is not a declared field"]);
});

test("a key needs a value of its own in each entry", async () => {
  const content = await readWith("a.csv", "price,title\n5,Oak\n6,Oak\n,Ash\n");
  assert.deepEqual(problems(content, "title"), ["Line 3: title is the same as in line 2"]);
  assert.deepEqual(problems(content, "price"), ["Line 4: price is missing"]);
  assert.deepEqual(possibleKeys(content, [["title", {}], ["due", {}]]), ["title"]);
});

test("exported items are restored by their ids", async () => {
  const exported = '{"id": "01a21ddf-72c4-7819-9b2c-019e42347976", "version": 2, "title": "Oak"}';
  const content = await readWith("a.ndjson", exported);
  assert.deepEqual([likelyKey(content), possibleKeys(content, []), problems(content, "id")], ["id", ["id"], []]);
  const own = await readWith("a.ndjson", '{"id": 7, "title": "Oak"}');
  assert.deepEqual([likelyKey(own), problems(own, "id")], ["", ["Item 1: id must be a UUIDv7"]]);
});

test("the result names what was created, updated and failed", () => {
  assert.equal(countsText({ created: 0, updated: 0, failed: 0 }), "0 items created");
  assert.equal(countsText({ created: 1, updated: 2000, failed: 3 }), "1 item created, 2,000 updated, 3 failed");
  assert.equal(countsText({ created: 0, updated: 1, failed: 0 }), "1 item updated");
});
