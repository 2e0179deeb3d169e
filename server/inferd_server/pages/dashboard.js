// The dashboard: /metrics every two seconds, as figures and lines.

import { Card } from "/pages/chart.js";
import { $, element } from "/pages/dom.js";
import { Scrape, quantile, rate } from "/pages/metrics.js";
import { Problem, ask, watch } from "/pages/server.js";

const EVERY_S = 2;
const ROOM = 150; // points: five minutes
const WINDOW = 30; // points that percentiles are taken over: a minute

const whole = (value) => Math.round(value).toLocaleString("en");
const rounded = (value) => (value >= 100 ? whole(value) : value.toFixed(1));
const percent = (value) => `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
const time = (seconds) => (seconds < 1 ? `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`);

const percentiles = (name) => (_, now, old) => [quantile(old, now, name, 0.5), quantile(old, now, name, 0.95)];
const CARDS = [ // [card, values of (scrape before, this one, the one a minute ago)]
  [new Card("Throughput, tokens per second", ["generated", "prompt"], rounded),
    (before, now) => [rate(before, now, "generation_tokens_total"), rate(before, now, "prompt_tokens_total")]],
  [new Card("Requests", ["running", "waiting"], whole),
    (_, now) => [now.value("num_requests_running"), now.value("num_requests_waiting")]],
  [new Card("KV cache in use", ["of all blocks"], percent, 1), (_, now) => [now.value("kv_cache_usage_perc")]],
  [new Card("Prefix cache, last minute", ["of prompt tokens found"], percent, 1), (_, now, old) => [hits(old, now)]],
  [new Card("Time in the queue", ["median", "95th"], time), percentiles("request_queue_time_seconds")],
  [new Card("Time to first token", ["median", "95th"], time), percentiles("time_to_first_token_seconds")],
  [new Card("Time between tokens", ["median", "95th"], time), percentiles("inter_token_latency_seconds")],
  [new Card("Time per request", ["median", "95th"], time), percentiles("e2e_request_latency_seconds")],
  [new Card("Requests per minute", ["ended", "preempted"], rounded),
    (before, now) => ["request_success_total", "num_preemptions_total"].map((name) => 60 * rate(before, now, name))],
];
const TOTALS = [
  ["Prompt tokens", "prompt_tokens_total"],
  ["Generated tokens", "generation_tokens_total"],
  ["Preemptions", "num_preemptions_total"],
];

function hits(before, now) {
  const asked = now.value("prefix_cache_queries_total") - before.value("prefix_cache_queries_total");
  return asked > 0 ? (now.value("prefix_cache_hits_total") - before.value("prefix_cache_hits_total")) / asked : null;
}

let scrapes = [];

async function scrape() {
  try {
    const text = await (await ask("/metrics")).text();
    show(new Scrape(text, performance.now() / 1000));
    $("problem").textContent = "";
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    $("problem").textContent = error.message;
  } finally {
    setTimeout(scrape, 1000 * EVERY_S);
  }
}

function show(now) {
  const before = scrapes.at(-1);
  scrapes = [...scrapes, now].slice(-WINDOW);
  if (before) for (const [card, values] of CARDS) card.push(values(before, now, scrapes[0]), ROOM);
  const rows = TOTALS.map(([title, name]) => [title, now.value(name)]);
  for (const [reason, count] of now.reasons) rows.push([`Ended by ${reason}`, count]);
  $("totals").replaceChildren(...rows.map(([title, value]) => element("div", {},
    element("dt", { textContent: title }), element("dd", { textContent: whole(value) }))));
}

$("cards").append(...CARDS.map(([card]) => card.element));
scrape();
watch();
