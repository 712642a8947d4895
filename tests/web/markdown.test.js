import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser.js";
import { h } from "../../chalicelib/web/dom.js";
import { renderBlocks, renderInline } from "../../chalicelib/web/markdown.js";

const html = (text) => renderBlocks(text, (title) => `about-${title.toLowerCase()}`).map((one) => one.outerHTML);
const inline = (text) => h("p", {}, renderInline(text)).innerHTML;

test("blocks are separated by blank lines", () => {
  assert.deepEqual(html("One\nline.\n\n\nTwo.\n"), ["<p>One\nline.</p>", "<p>Two.</p>"]);
});

test("headings have a level and an id", () => {
  const headings = ['<h2 id="about-errors">Errors</h2>', '<h3 id="about-more">More</h3>'];
  assert.deepEqual(html("## Errors\n\n### More"), headings);
});

test("lists are marked by dashes or numbers", () => {
  assert.deepEqual(html("- one\n  goes on\n- two"), ["<ul><li>one goes on</li><li>two</li></ul>"]);
  assert.deepEqual(html("1. one\n2. two"), ["<ol><li>one</li><li>two</li></ol>"]);
});

test("fenced code stays as it is", () => {
  assert.deepEqual(html("```json\n{\"a\": `*1*`}\n```"), ["<pre>{\"a\": `*1*`}</pre>"]);
});

test("code and emphasis are marked", () => {
  assert.equal(inline("Send `If-Match` *always*."), "Send <code>If-Match</code> <em>always</em>.");
});

test("stars and backticks alone mark nothing", () => {
  assert.equal(inline("2 * 3 * 4 and `"), "2 * 3 * 4 and `");
});

test("stars in code are code", () => {
  assert.equal(inline("`*/*` is any type"), "<code>*/*</code> is any type");
});

test("HTML is text", () => {
  assert.equal(inline("<b>x</b>"), "&lt;b&gt;x&lt;/b&gt;");
});
