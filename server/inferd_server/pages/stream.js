// Server-sent events of a reply, as objects.

import { Problem } from "/pages/server.js";

const END = "[DONE]";

/** Yields what each event holds; throws Problem for an error that the stream brings. */
export async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data === END) return;
      if (data) yield checked(JSON.parse(data));
    }
  }
}

function checked(event) {
  if (event.error) throw new Problem(event.error.message);
  return event;
}
