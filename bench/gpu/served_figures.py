"""From what the clients saw to the figures of one rate. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from inferd.cli.bench.measures import percentile

WINDOW_S = (5.0, 20.0)  # of the arrivals: past the ramp, before the drain
Outcome = dict[str, Any]  # of client.send


def figures(outcomes: Sequence[Outcome], at: float, last_arrival: float) -> dict[str, Any]:
    """`at` is second 0. Times in milliseconds; failed requests are counted and left out of them."""
    good = [outcome for outcome in outcomes if not outcome["error"]]
    found: dict[str, Any] = {
        "requests": len(outcomes),
        "failed": len(outcomes) - len(good),
        "failures": dict(Counter(o["error"] for o in outcomes if o["error"])),
    }
    if not good:
        return found
    first = [(o["pieces"][0] - o["sent"]) * 1e3 for o in good]
    gaps = [(b - a) * 1e3 for o in good for a, b in pairwise(o["pieces"])]
    for name, values in (("ttft", first), ("itl", gaps)):
        for percent in (50, 99):
            value = round(percentile(values, percent), 2) if values else None
            found[f"{name}_p{percent}_ms"] = value
    seconds = max(o["ended"] for o in good) - at
    tokens = sum(o["num_output"] for o in good)
    return found | {
        "window_tok_s": window_rate(good, at, last_arrival),
        "req_s": round(len(good) / seconds, 2),
        "out_tok_s": round(tokens / seconds, 1),
        "tokens_per_piece": round(tokens / sum(len(o["pieces"]) for o in good), 3),
        "late_p99_ms": round(percentile([o["late"] for o in good], 99) * 1e3, 2),
    }


def window_rate(outcomes: Sequence[Outcome], at: float, last_arrival: float) -> float | None:
    """Output tokens/s in the window, or in what the arrivals leave of it."""
    begin, end = WINDOW_S[0], min(WINDOW_S[1], last_arrival)
    if end <= begin:
        return None
    tokens = 0.0
    for outcome in outcomes:
        inside = sum(begin <= piece - at < end for piece in outcome["pieces"])
        tokens += inside * outcome["num_output"] / len(outcome["pieces"])
    return round(tokens / (end - begin), 1)


def median_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per figure the median over runs; counts of failures add up."""
    merged = {
        name: round(statistics.median(run[name] for run in runs), 3)
        for name, value in runs[0].items()
        if isinstance(value, int | float) and all(run.get(name) is not None for run in runs)
    }
    merged["failed"] = sum(run["failed"] for run in runs)
    merged["failures"] = dict(sum((Counter(run["failures"]) for run in runs), Counter()))
    return merged | {"runs": list(runs)}
