// The chat: a list of messages, and one answer at a time that streams in.

import { Answer } from "/pages/answer.js";
import { $, button, element } from "/pages/dom.js";
import { fields, opening } from "/pages/options.js";
import { Problem, ask, watch } from "/pages/server.js";
import { events } from "/pages/stream.js";

const HELLO = $("hello").textContent;
const NEAR = 80; // pixels from the end at which the view follows what comes

const conversation = $("conversation");
const box = $("message");
const turns = []; // {message, null for an answer of which nothing has come, element}
let running = null; // an AbortController
let models = null; // a promise: their names have been asked for

function add(message, node) {
  $("hello").hidden = true;
  conversation.append(node);
  turns.push({ message, element: node });
}

/** Forget the turns from this one on. */
function cut(node) {
  const at = turns.findIndex((turn) => turn.element === node);
  for (const turn of turns.splice(at)) turn.element.remove();
  $("hello").hidden = turns.length > 0;
}

function addUser(text) {
  const foot = element("div", { className: "foot" });
  const node = element("div", { className: "turn user" },
    element("div", { className: "text", textContent: text }), foot);
  foot.append(button("Edit", () => {
    stop();
    cut(node);
    box.value = text;
    grow();
    box.focus();
  }));
  add({ role: "user", content: text }, node);
}

function following(change) {
  const near = conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight < NEAR;
  change();
  if (near) conversation.scrollTop = conversation.scrollHeight;
}

/** Have the model continue the conversation. */
async function answer() {
  const mine = running = new AbortController();
  const shown = new Answer();
  const messages = [...opening(), ...turns.map((turn) => turn.message).filter(Boolean)];
  add(null, shown.element);
  conversation.scrollTop = conversation.scrollHeight;
  setBusy(true);
  let problem = null;
  try {
    for await (const event of await request(messages, mine.signal)) following(() => shown.take(event));
  } catch (error) {
    problem = error.name === "AbortError" ? "Stopped." : error.message;
    if (!(error instanceof Problem) && error.name !== "AbortError") console.error(error);
  }
  finish(shown, problem);
  if (running === mine) setBusy(false);
}

async function request(messages, signal) {
  await models;
  const body = { ...fields(), messages, stream: true, stream_options: { include_usage: true } };
  return events(await ask("/v1/chat/completions", {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  }));
}

function finish(shown, problem) {
  following(() => {
    shown.end(problem);
    shown.foot.append(button("Again", () => {
      stop();
      cut(shown.element);
      answer();
    }));
    if (shown.calls.length && !problem) askForResults(shown);
  });
  const turn = turns.find((each) => each.element === shown.element);
  if (turn) turn.message = shown.message; // else it was cut while it came
}

/** What the called tools return is typed in by the user. */
function askForResults(shown) {
  const places = [...shown.tools.children].map((call, at) => {
    const place = element("textarea", { rows: 2, placeholder: "What the tool returns" });
    place.setAttribute("aria-label", `Result of ${shown.calls[at].function.name}`);
    call.append(place);
    return place;
  });
  const send = element("button", { type: "button", textContent: "Send results", onclick: () => {
    send.remove();
    places.forEach((place, at) => {
      place.readOnly = true;
      turns.push({ message: { role: "tool", tool_call_id: shown.calls[at].id, content: place.value }, element: place });
    });
    answer();
  } });
  shown.tools.append(send);
}

function setBusy(busy) {
  $("stop").hidden = !busy;
  $("send").hidden = busy;
}

function stop() {
  running?.abort();
}

function grow() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  const text = box.value.trim();
  if (!text || !$("stop").hidden) return;
  addUser(text);
  box.value = "";
  grow();
  answer();
};
box.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
};
box.oninput = grow;
$("stop").onclick = stop;
$("new").onclick = () => {
  stop();
  if (turns.length) cut(turns[0].element);
  box.focus();
};
document.onkeydown = (event) => {
  if (event.key === "Escape") stop();
};
$("toggle").onclick = () => {
  const open = document.body.classList.toggle("open");
  document.body.style.setProperty("--head", `${document.querySelector("header").offsetHeight}px`);
  $("toggle").setAttribute("aria-expanded", open);
};

async function loadModels() {
  try {
    const { data } = await (await ask("/v1/models")).json();
    $("hello").textContent = HELLO;
    $("model").replaceChildren(...data.map(({ id }) => element("option", { value: id, textContent: id })));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    $("hello").textContent = error.message;
  }
}

document.addEventListener("key", () => { models = loadModels(); });
models = loadModels();
watch();
