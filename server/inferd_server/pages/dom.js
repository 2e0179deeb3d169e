// Elements, made and found.

export const $ = (id) => document.getElementById(id);

/** An element; children are nodes or texts, never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const button = (text, onclick) =>
  element("button", { type: "button", className: "quiet", textContent: text, onclick });
