// The part of Markdown (CommonMark) that the OpenAPI document's descriptions use: headings, lists, fenced code, `code`
// and *emphasis*.

import { h } from "./dom.js";

const LIST_ITEM = /^(?:-|\d+\.) /;

/**
 * Return the blocks of a text as elements.
 * @param {string} text
 * @param {(title: string) => string} headingId
 */
export function renderBlocks(text, headingId) {
  return text.trim().split(/\n{2,}/).map((block) => renderBlock(block, headingId));
}

/** @param {string} block @param {(title: string) => string} headingId */
function renderBlock(block, headingId) {
  const fenced = block.match(/^```\w*\n([\s\S]*?)\n```$/);
  if (fenced) return h("pre", {}, fenced[1]);
  const heading = block.match(/^(#+) (.+)$/);
  if (heading) {
    const tag = /** @type {"h1"} */ (`h${heading[1].length}`);
    return h(tag, { id: headingId(heading[2]) }, renderInline(heading[2]));
  }
  return LIST_ITEM.test(block) ? renderList(block) : h("p", {}, renderInline(block));
}

/** @param {string} block */
function renderList(block) {
  const items = block.split(/\n(?=(?:-|\d+\.) )/).map((one) => one.replace(LIST_ITEM, "").replace(/\n +/g, " "));
  return h(block.startsWith("-") ? "ul" : "ol", {}, items.map((one) => h("li", {}, renderInline(one))));
}

/**
 * Return a line of text as nodes: code between backticks, emphasis between stars.
 * @param {string} text
 */
export function renderInline(text) {
  return text.split(/(`[^`]+`|\*[^*\s][^*]*\*)/).map((part) => {
    if (part.length < 3) return part;
    if (part.startsWith("`") && part.endsWith("`")) return h("code", {}, part.slice(1, -1));
    return part.startsWith("*") && part.endsWith("*") ? h("em", {}, part.slice(1, -1)) : part;
  });
}
