// The Markdown that models write most: code, headings, lists, emphasis. Nodes only, no markup.

import { element } from "/pages/dom.js";

const FENCE = /^\s*(```+|~~~+)/;
const HEADING = /^#{1,6}\s+(.*)/;
const ITEM = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)/;
const INLINE = /(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)/;

/** Blocks of a text that may still grow. */
export function blocks(text) {
  const made = [];
  const lines = text.split("\n");
  while (lines.length) {
    if (FENCE.test(lines[0])) made.push(code(lines));
    else if (HEADING.test(lines[0])) made.push(element("h3", {}, ...inline(HEADING.exec(lines.shift())[1])));
    else if (ITEM.test(lines[0])) made.push(list(lines));
    else if (lines[0].trim()) made.push(paragraph(lines));
    else lines.shift();
  }
  return made;
}

function code(lines) {
  const fence = FENCE.exec(lines.shift())[1];
  const inside = [];
  while (lines.length && !lines[0].trim().startsWith(fence)) inside.push(lines.shift());
  lines.shift();
  return element("pre", {}, element("code", { textContent: inside.join("\n") }));
}

function list(lines) {
  const number = ITEM.exec(lines[0])[1];
  const made = element(number ? "ol" : "ul", number ? { start: Number(number) } : {});
  while (lines.length && ITEM.test(lines[0])) {
    made.append(element("li", {}, ...inline(ITEM.exec(lines.shift())[2])));
  }
  return made;
}

function paragraph(lines) {
  const inside = [];
  while (lines.length && lines[0].trim() && ![FENCE, HEADING, ITEM].some((p) => p.test(lines[0]))) {
    if (inside.length) inside.push(element("br"));
    inside.push(...inline(lines.shift()));
  }
  return element("p", {}, ...inside);
}

function inline(text) {
  return text.split(INLINE).filter(Boolean).map((part) => {
    if (/^`.+`$/.test(part)) return element("code", { textContent: part.slice(1, -1) });
    if (/^\*\*.+\*\*$/.test(part)) return element("strong", { textContent: part.slice(2, -2) });
    if (/^\*.+\*$/.test(part)) return element("em", { textContent: part.slice(1, -1) });
    return part;
  });
}
