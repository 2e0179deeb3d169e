// Tokens of an answer, shaded by their probability; the tip lists what else was likely.

import { $, element } from "/pages/dom.js";

const tip = $("tip");
const HEX = 16;
const same = (one, other) => one.token === other.token && String(one.bytes) === String(other.bytes);
const percent = (logprob) => `${(100 * Math.exp(logprob)).toFixed(1)} %`;

/**
 * Spans for a piece of text and the tokens that it came from, which are taken out of `tokens`: one
 * for each token that spells what comes next, and one for the rest of both, as a character may take
 * several tokens. Those after the last of the text stay: they spell what is still to come, or end
 * the answer.
 */
export function spans(text, tokens) {
  const made = [];
  let rest = text;
  while (rest && tokens.length && rest.startsWith(tokens[0].token)) {
    const token = tokens.shift();
    made.push(span(token.token, [token]));
    rest = rest.slice(token.token.length);
  }
  return rest ? [...made, span(rest, tokens.splice(0))] : made;
}

function span(text, tokens) {
  const made = element("span", { className: "token", textContent: text });
  made.style.setProperty("--p", Math.exp(tokens.reduce((sum, each) => sum + each.logprob, 0)));
  made.tokens = tokens;
  return made;
}

/** Spaces and line ends become visible, and bytes that are no whole character. */
function shown({ token, bytes }) {
  if (token.includes("\ufffd") && bytes) {
    return bytes.map((each) => `<${each.toString(HEX).padStart(2, "0")}>`).join("");
  }
  return JSON.stringify(token).slice(1, -1);
}

function table(token) {
  const rows = token.top_logprobs.some((each) => same(each, token))
    ? token.top_logprobs : [...token.top_logprobs, token];
  return element("table", {}, ...rows.map((each) =>
    element("tr", { className: same(each, token) ? "chosen" : "" },
      element("td", { textContent: shown(each) }),
      element("td", { textContent: percent(each.logprob) }))));
}

function show(target) {
  hide();
  target.classList.add("active");
  tip.replaceChildren(...target.tokens.map(table));
  tip.hidden = false;
  const box = target.getBoundingClientRect();
  const below = box.bottom + 6 + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${below ? box.bottom + 6 : Math.max(4, box.top - tip.offsetHeight - 6)}px`;
}

function hide() {
  tip.hidden = true;
  document.querySelector(".token.active")?.classList.remove("active");
}

/** The arrow keys go from token to token, the mouse to any. */
export function explore(text) {
  text.tabIndex = 0;
  text.setAttribute("aria-describedby", "tip");
  text.onmouseover = (event) => event.target.tokens ? show(event.target) : hide();
  text.onmouseleave = hide;
  text.onblur = hide;
  text.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...text.querySelectorAll(".token")];
    const next = all[all.findIndex((each) => each.classList.contains("active")) + step];
    if (next) show(next);
    event.preventDefault();
  };
}
