// Prometheus' text format: what was scraped, and what follows from two scrapes.

const LINE = /^inferd_(\w+)(?:\{(.*)\})? (\S+)/; // aliases would count twice
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Sums over all labels but `le` and `finished_reason`. */
export class Scrape {
  constructor(text, seconds) {
    this.seconds = seconds;
    this.values = new Map();
    this.buckets = new Map(); // name -> Map of upper bound -> count
    this.reasons = new Map();
    for (const line of text.split("\n")) this.#take(LINE.exec(line));
  }

  #take(found) {
    if (!found) return; // a comment or the last line
    const [, name, inside = "", number] = found;
    const labels = Object.fromEntries([...inside.matchAll(LABEL)].map(([, key, value]) => [key, value]));
    const value = Number(number);
    plus(this.values, name, value);
    if (labels.finished_reason && name.endsWith("_total")) plus(this.reasons, labels.finished_reason, value);
    if (labels.le === undefined) return;
    if (!this.buckets.has(name)) this.buckets.set(name, new Map());
    plus(this.buckets.get(name), labels.le === "+Inf" ? Infinity : Number(labels.le), value);
  }

  value(name) {
    return this.values.get(name) ?? 0;
  }
}

function plus(map, key, value) {
  map.set(key, (map.get(key) ?? 0) + value);
}

/** Of a counter, per second; 0 after a restart of the server. */
export const rate = (before, after, name) =>
  Math.max(0, after.value(name) - before.value(name)) / (after.seconds - before.seconds);

/** Of what a histogram saw between two scrapes, linear within a bucket; null if it saw nothing. */
export function quantile(before, after, name, share) {
  const key = `${name}_bucket`;
  const counts = [...(after.buckets.get(key) ?? [])]
    .map(([bound, count]) => [bound, count - (before.buckets.get(key)?.get(bound) ?? 0)])
    .sort(([a], [b]) => a - b);
  const wanted = share * (counts.at(-1)?.[1] ?? 0);
  if (!(wanted > 0)) return null;
  let low = 0, below = 0;
  for (const [bound, count] of counts) {
    if (count >= wanted) return bound === Infinity ? low : low + (bound - low) * (wanted - below) / (count - below);
    [low, below] = [bound, count];
  }
  return low;
}
