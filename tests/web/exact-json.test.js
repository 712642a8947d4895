import assert from "node:assert/strict";
import { test } from "node:test";
import { isEqual, isNumber, parseJson, parseNumber, toJson } from "../../chalicelib/web/exact-json.js";

test("numbers keep every digit", () => {
  for (const number of ["0.10000000000000000001", "12345678901234567890123", "1.0", "1e2", "-0", "1E+400"]) {
    assert.equal(toJson(parseJson(`{"n":[${number},"x"]}`)), `{"n":[${number},"x"]}`);
  }
});

test("numbers that JavaScript holds stay numbers", () => {
  assert.deepEqual(parseJson("[1, -2.5, 0, 1234567]"), [1, -2.5, 0, 1234567]);
});

test("digits in strings are not numbers", () => {
  const text = String.raw`{"1.0":"price: 1.0 \" 2.00"}`;
  assert.equal(toJson(parseJson(text)), text);
  assert.deepEqual(parseJson(text), { "1.0": 'price: 1.0 " 2.00' });
});

test("a syntax error names its position in the original text", () => {
  assert.throws(() => parseJson('{"n": 1.00000000000000000001, }'), (error) => {
    assert.ok(error instanceof SyntaxError);
    assert.match(error.message, /position 30/);
    return true;
  });
});

test("replacement characters are escaped", () => {
  assert.equal(toJson({ "k\uFFFD": "a\uFFFDb" }), '{"k\\ufffd":"a\\ufffdb"}');
});

test("JSON can be indented", () => {
  assert.equal(toJson({ a: parseJson("1.0") }, 2), '{\n  "a": 1.0\n}');
});

test("a text is a number if JSON would read it as one", () => {
  assert.equal(parseNumber(" 12.5 "), 12.5);
  assert.equal(toJson(parseNumber("1.10")), "1.10");
  for (const text of ["", "1,5", "1.", ".5", "+1", "01", "NaN", "0x1", "1 2"]) {
    assert.equal(parseNumber(text), undefined);
  }
});

test("exact numbers count as numbers, texts do not", () => {
  assert.equal(isNumber(1), true);
  assert.equal(isNumber(parseJson("1.0")), true);
  assert.equal(isNumber("1.0"), false);
  assert.equal(isNumber(null), false);
});

test("values are equal whatever the order of their names", () => {
  assert.equal(isEqual({ a: 1, b: [{ c: 2, d: 3 }] }, { b: [{ d: 3, c: 2 }], a: 1 }), true);
  assert.equal(isEqual([1, 2], [2, 1]), false);
  assert.equal(isEqual({ a: 1 }, { a: "1" }), false);
});

test("numbers are equal only if they are written the same", () => {
  assert.equal(isEqual(parseJson("1.0"), parseJson("1.0")), true);
  assert.equal(isEqual(parseJson("1.0"), 1), false);
});

test("undefined equals only itself", () => {
  assert.equal(isEqual(undefined, undefined), true);
  assert.equal(isEqual(undefined, null), false);
  assert.equal(isEqual(null, null), true);
});
