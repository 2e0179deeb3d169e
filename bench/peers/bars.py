"""Medians over the rounds, and the bars they are held against. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # engine -> Figures of each round, as dicts
SLACK_MB = 700
COLUMNS = {
    "ready_s": "start s",
    "ttft_ms": "TTFT ms",
    "decode_tok_s": "decode tok/s",
    "batch_out_tok_s": "batch tok/s",
    "shared_out_tok_s": "shared tok/s",
    "pss_mb": "PSS MB",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """ours / theirs must be at least (or at most) `factor`."""

    name: str
    ours: str  # engine
    figure: str
    theirs: str
    factor: float
    at_most: bool = False

    def holds(self, ratio: float) -> bool:
        return ratio <= self.factor if self.at_most else ratio >= self.factor


BARS = (
    Bar("one stream after 512 tokens, vs vLLM", "inferd", "decode_tok_s", "vllm", 1.5),
    Bar("one stream after 512 tokens, vs llama.cpp", "inferd", "decode_tok_s", "llama", 0.9),
    Bar("first token of 512, vs vLLM", "inferd", "ttft_ms", "vllm", 1.0, at_most=True),
    Bar("64 requests, vs vLLM", "inferd", "batch_out_tok_s", "vllm", 1.4),
    Bar("64 requests, vs transformers", "inferd", "batch_out_tok_s", "hf", 10.0),
    Bar("64 with a shared prefix, vs vLLM", "inferd", "shared_out_tok_s", "vllm", 1.4),
    Bar("start to first token, vs vLLM", "inferd_served", "ready_s", "vllm", 0.1, at_most=True),
)


def median(runs: Runs, engine: str, figure: str) -> float | None:
    """None when no round has it."""
    found = [run[figure] for run in runs.get(engine, ()) if run[figure] is not None]
    return statistics.median(found) if found else None


def compare(runs: Runs) -> list[dict[str, Any]]:
    """Each bar with its ratio of medians; `holds` is None where a figure is missing."""
    rows = []
    for bar in BARS:
        ours, theirs = median(runs, bar.ours, bar.figure), median(runs, bar.theirs, bar.figure)
        ratio = ours / theirs if ours is not None and theirs else None
        rows.append(
            {
                "bar": bar.name,
                "needed": f"{'<=' if bar.at_most else '>='} {bar.factor:g}x",
                "ours": ours,
                "theirs": theirs,
                "found": None if ratio is None else round(ratio, 3),
                "holds": None if ratio is None else bar.holds(ratio),
            }
        )
    return [*rows, memory_bar(runs)]


def memory_bar(runs: Runs) -> dict[str, Any]:
    """PSS of all inferd processes after the batch, in MB, against weights + KV + 700 MB."""
    found = median(runs, "inferd_served", "pss_mb")
    details = next((run["details"] for run in runs.get("inferd_served", ())), None)
    row = {"bar": "PSS of inferd serve, MB", "ours": found, "theirs": None, "found": found}
    if details is None or found is None:
        return {**row, "needed": f"<= weights + KV + {SLACK_MB}", "holds": None}
    limit = (details["weight_bytes"] + details["kv_bytes"]) / 1e6 + SLACK_MB
    return {**row, "needed": f"<= {limit:.0f}", "holds": found <= limit}


def figures_table(runs: Runs) -> list[list[str]]:
    """Per engine: median [lowest-highest] of every figure."""
    rows = [["engine", *COLUMNS.values()]]
    for engine, found in runs.items():
        cells = [_spread([run[name] for run in found if run[name] is not None]) for name in COLUMNS]
        rows.append([engine, *cells])
    return rows


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle = f"{statistics.median(values):g}"
    return middle if len(values) == 1 else f"{middle} [{min(values):g}-{max(values):g}]"


def bars_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One line per bar: what is needed, what was found, whether it holds."""
    words = {True: "holds", False: "MISSED", None: "not measured"}
    lines = [["bar", "needed", "found", ""]]
    for row in rows:
        found = "-" if row["found"] is None else f"{row['found']:g}"
        lines.append([str(row["bar"]), str(row["needed"]), found, words[row["holds"]]])
    return lines
