// As much of Markdown (CommonMark) as the document's descriptions use: headings, lists, fenced code, `code`, *emphasis*.

import { h } from "./dom.js";

const ITEM = /^(?:-|\d+\.) /;

/** The blocks of a text; `slug(title)` names its headings. */
export function blocks(text, slug) {
  return text.trim().split(/\n{2,}/).flatMap((part) => block(part, slug));
}

function block(part, slug) {
  const fenced = part.match(/^```\w*\n([\s\S]*?)\n```$/);
  if (fenced) return h("pre", {}, fenced[1]);
  const heading = part.match(/^(#+) (.+)$/);
  if (heading) return h(`h${heading[1].length}`, { id: slug(heading[2]) }, inline(heading[2]));
  if (!ITEM.test(part)) return h("p", {}, inline(part));
  const items = part.split(/\n(?=(?:-|\d+\.) )/).map((one) => h("li", {}, inline(one.replace(ITEM, "").replace(/\n +/g, " "))));
  return h(part.startsWith("-") ? "ul" : "ol", {}, items);
}

/** A line of text as nodes: what stands between backticks is code, between stars emphasis. */
export function inline(text) {
  return text.split(/(`[^`]+`|\*[^*\s][^*]*\*)/).map((part) => {
    if (part.length < 3) return part;
    if (part.startsWith("`") && part.endsWith("`")) return h("code", {}, part.slice(1, -1));
    return part.startsWith("*") && part.endsWith("*") ? h("em", {}, part.slice(1, -1)) : part;
  });
}
