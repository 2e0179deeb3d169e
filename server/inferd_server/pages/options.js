// The options beside the chat. They are kept in the browser; the key is not among them.

import { $, element } from "/pages/dom.js";
import { Problem } from "/pages/server.js";

const KEPT = "inferd-options";
const SAMPLING = [ // [field of the request, label, attributes]
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1 }],
  ["top_p", "Top p", { min: 0, max: 1, step: 0.05 }],
  ["top_k", "Top k", { min: -1, step: 1 }],
  ["min_p", "Min p", { min: 0, max: 1, step: 0.01 }],
  ["max_tokens", "Most tokens", { min: 1, step: 1 }],
  ["repetition_penalty", "Repetition penalty", { min: 0.1, max: 10, step: 0.05 }],
  ["presence_penalty", "Presence penalty", { min: -2, max: 2, step: 0.1 }],
  ["frequency_penalty", "Frequency penalty", { min: -2, max: 2, step: 0.1 }],
  ["seed", "Seed", { step: 1 }],
];
const TOP = 5; // alternatives that are shown per token

const inputs = new Map(SAMPLING.map(([name, label, attributes]) => {
  const made = element("input", { type: "number", id: name, ...attributes });
  $("sampling").append(element("label", {}, label, made));
  return [name, made];
}));
const stop = element("input", { id: "stop-text", placeholder: "none" });
$("sampling").append(element("label", {}, "Stop at", stop));

const texts = { system: $("system"), tools: $("tools"), stop };
const boxes = { logprobs: $("logprobs") };

function restore() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  for (const [name, input] of [...inputs, ...Object.entries(texts)]) input.value = kept[name] ?? "";
  for (const [name, box] of Object.entries(boxes)) box.checked = kept[name] ?? false;
}

function keep() {
  const named = [...inputs, ...Object.entries(texts)].map(([name, input]) => [name, input.value]);
  const checked = Object.entries(boxes).map(([name, box]) => [name, box.checked]);
  localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries([...named, ...checked])));
}

restore();
$("options").addEventListener("change", keep);

/** The fields that a request takes from the options. Throws Problem for tools that are no JSON. */
export function fields() {
  const chosen = { model: $("model").value };
  for (const [name, input] of inputs) {
    if (input.value !== "" && !input.validity.valid) throw new Problem(`${name}: ${input.validationMessage}`);
    if (input.value !== "") chosen[name] = Number(input.value);
  }
  if (stop.value) chosen.stop = stop.value;
  if (boxes.logprobs.checked) Object.assign(chosen, { logprobs: true, top_logprobs: TOP });
  const tools = parsed(texts.tools.value);
  if (tools.length) chosen.tools = tools;
  return chosen;
}

function parsed(text) {
  if (!text.trim()) return [];
  try {
    return [JSON.parse(text)].flat();
  } catch (error) {
    throw new Problem(`The tools are no JSON: ${error.message}`);
  }
}

/** The messages before the first one of the user. */
export const opening = () =>
  texts.system.value.trim() ? [{ role: "system", content: texts.system.value }] : [];
