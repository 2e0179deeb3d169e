// An answer: what the stream has brought so far, and how it is shown.

import { button, element } from "/pages/dom.js";
import { blocks } from "/pages/markdown.js";
import { explore, spans } from "/pages/tokens.js";

const PAINT_MS = 40;

export class Answer {
  content = "";
  reasoning = "";
  calls = [];
  #pending = []; // tokens whose text has not come yet
  #usage = null;
  #reason = null;
  #began = performance.now();
  #first = null;
  #ended = null;
  #timer = null;
  #plain = false; // tokens are shown, not blocks

  constructor() {
    this.thoughts = element("div");
    this.fold = element("details", { className: "reasoning", hidden: true, open: true },
      element("summary", { textContent: "Reasoning" }), this.thoughts);
    this.text = element("div", { className: "text waiting" });
    this.tools = element("div");
    this.foot = element("div", { className: "foot" });
    this.element = element("div", { className: "turn assistant" }, this.fold, this.text, this.tools, this.foot);
  }

  /** One event of the stream. */
  take(event) {
    this.#usage = event.usage ?? this.#usage;
    const choice = event.choices?.[0];
    if (!choice) return;
    const delta = choice.delta ?? {};
    this.#pending.push(...(choice.logprobs?.content ?? []));
    const thought = delta.reasoning_content ?? delta.reasoning ?? "";
    if (thought) this.#think(thought);
    if (delta.content) this.#say(delta.content);
    for (const call of delta.tool_calls ?? []) this.#call(call);
    this.#reason = choice.finish_reason ?? this.#reason;
    this.#timer ??= setTimeout(() => this.#paint(), PAINT_MS);
  }

  #arrived() {
    this.#first ??= performance.now();
  }

  #think(text) {
    this.#arrived();
    this.reasoning += text;
    this.fold.hidden = false;
    this.thoughts.append(...this.#nodes(text, this.thoughts));
  }

  #say(text) {
    this.#arrived();
    if (!this.content) this.fold.open = false;
    this.content += text;
    if (this.#pending.length && this.content === text) this.#plain = true;
    if (this.#plain) this.text.append(...this.#nodes(text, this.text));
  }

  /** The text, as tokens where they were sent with it. */
  #nodes(text, place) {
    if (!this.#pending.length) return [text];
    explore(place);
    return spans(text, this.#pending);
  }

  #call({ index, id, function: { name = "", arguments: text = "" } = {} }) {
    this.#arrived();
    this.#pending = [];
    const call = this.calls[index] ??= { id, type: "function", function: { name: "", arguments: "" } };
    call.function.name += name;
    call.function.arguments += text;
  }

  #paint() {
    this.#timer = null;
    if (this.#plain) this.text.classList.add("plain");
    else this.text.replaceChildren(...blocks(this.content));
    this.text.classList.toggle("waiting", this.#ended === null);
    this.tools.replaceChildren(...this.calls.map(shownCall));
  }

  /** Nothing more will come. `problem` says why, unless the model had finished. */
  end(problem = null) {
    this.#ended = performance.now();
    clearTimeout(this.#timer);
    this.fold.open = false;
    this.#paint();
    if (problem) this.text.after(element("p", { className: "problem", textContent: problem, role: "alert" }));
    this.foot.replaceChildren(element("span", { textContent: this.#figures() }));
    if (this.content) this.foot.append(button("Copy", () => navigator.clipboard.writeText(this.content)));
  }

  #figures() {
    const parts = [];
    const count = this.#usage?.completion_tokens;
    if (count !== undefined) parts.push(`${count} tokens`);
    if (count > 1) parts.push(`${(1000 * (count - 1) / (this.#ended - this.#first)).toFixed(1)} tokens/s`);
    if (this.#first) parts.push(`first after ${((this.#first - this.#began) / 1000).toFixed(2)} s`);
    if (this.#reason) parts.push(`ended by ${this.#reason}`);
    return parts.join(" · ");
  }

  /** As a message of the conversation; null if nothing came. */
  get message() {
    if (!this.content && !this.calls.length && !this.reasoning) return null;
    return {
      role: "assistant",
      content: this.content,
      ...(this.reasoning && { reasoning_content: this.reasoning }),
      ...(this.calls.length && { tool_calls: this.calls }),
    };
  }
}

function shownCall(call) {
  let text = call.function.arguments;
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch { /* not whole yet, or never JSON: shown as it is */ }
  return element("div", { className: "call" },
    element("strong", { textContent: call.function.name }), element("pre", {}, element("code", { textContent: text })));
}
