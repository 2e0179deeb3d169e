// What both pages ask of the server: the key, requests that carry it, and whether it serves.

import { $, element } from "/pages/dom.js";

const KEY = "inferd-key"; // in sessionStorage: gone when the tab is closed
const LOOK_MS = 2000;
const REFUSED = "The server does not know this key.";

let declined = false; // the dialog was closed without a key: it comes back when it is asked for

export class Problem extends Error {}

/** `fetch` with the key. Throws Problem, in the server's words, for what is not 2xx. */
export async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer.");
  }
  if (reply.status === 401 && !declined) askForKey(key ? REFUSED : "");
  if (!reply.ok) throw new Problem(await reason(reply));
  return reply;
}

async function reason(reply) {
  const body = await reply.json().catch(() => ({}));
  return body.error?.message ?? `The server answered with status ${reply.status}.`;
}

const input = element("input", { type: "password", id: "key-input", autocomplete: "off" });
const complaint = element("p", { className: "problem", role: "alert" });
const dialog = element("dialog", { id: "key-dialog", onclose: () => { declined = dialog.returnValue !== "used"; } },
  element("form", { onsubmit: save },
    element("label", { htmlFor: "key-input", textContent: "API key" }), input, complaint,
    element("p", { className: "hint", textContent: "Kept in this tab until it is closed." }),
    element("div", { className: "row" },
      element("button", { type: "button", textContent: "Cancel", onclick: () => dialog.close("") }),
      element("button", { className: "primary", textContent: "Use" }))));
document.body.append(dialog);
$("key").onclick = () => askForKey("");

function askForKey(problem) {
  if (dialog.open) return;
  complaint.textContent = problem;
  complaint.hidden = !problem;
  input.value = sessionStorage.getItem(KEY) ?? "";
  dialog.returnValue = "";
  dialog.showModal();
}

function save(event) {
  event.preventDefault();
  const key = input.value.trim();
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  dialog.close("used");
  document.dispatchEvent(new Event("key"));
}

/** Shows in the header whether requests are served, from now on. */
export async function watch() {
  const state = $("state");
  try {
    const reply = await fetch("/ready");
    const body = await reply.json();
    state.textContent = reply.ok ? "ready" : body.error.message;
    state.className = reply.ok ? "good" : "bad";
  } catch {
    state.textContent = "the server does not answer";
    state.className = "bad";
  }
  setTimeout(watch, LOOK_MS);
}
