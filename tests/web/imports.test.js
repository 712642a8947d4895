import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser.js";
import { isImportFile, readImport } from "../../chalicelib/web/added-files.js";

const read = (name, content) => readImport(new File([content], name));

test("an array becomes a list of items", async () => {
  const content = await read("a.json", ' [{"n": 1.10}] ');
  assert.deepEqual(content, { body: '{"items": [{"n": 1.10}] }', type: "application/json", lines: null });
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
  const names = ["a.json", "a.NDJSON", "a.b.jsonl", "a.png", "json", "a.json.txt"];
  const imported = names.filter((name) => isImportFile(new File([], name)));
  assert.deepEqual(imported, ["a.json", "a.NDJSON", "a.b.jsonl", "json"]);
});
