"""What the HTML report of each benchmark shows, from its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inferd.cli.bench.charts import Bar, Series, bars, lines
from inferd.cli.bench.html import Chart, Page
from inferd.cli.bench.latency import fitted
from inferd.cli.bench.measures import PERCENTILES
from inferd.cli.bench.offline import setting_line
from inferd.cli.bench.roofline_page import roofline
from inferd.cli.bench.serving import TIMES, title
from inferd.cli.bench.startup import PHASES

Values = dict[str, Any]


def throughput(values: Values) -> Page:
    tiles = [
        ("output tokens/s", f"{values['output_tokens_per_s']:,.1f}"),
        ("all tokens/s", f"{values['total_tokens_per_s']:,.1f}"),
        ("requests/s", f"{values['requests_per_s']:,.2f}"),
        ("KV cache, peak", f"{values['kv_use_peak']:.1%}"),
        ("preemptions", str(values["preemptions"])),
    ]
    over = values["timeline"]
    charts = []
    if over:
        charts = [
            Chart(
                "Requests over time",
                "Those that run, and those that wait for a row or for blocks.",
                lines([_over(over, "running"), _over(over, "waiting", 1)], "seconds", "requests"),
            ),
            Chart(
                "KV cache over time",
                "Blocks in use.",
                lines([_over(over, "kv_use", factor=100)], "seconds", "percent"),
            ),
            Chart(
                "Tokens computed per second",
                "Prompt tokens and generated ones.",
                lines([_over(over, "tokens_per_s")], "seconds", "tokens/s"),
            ),
        ]
    return Page("inferd bench throughput", setting_line(values), tiles, charts)


def _over(timeline: Sequence[Values], name: str, colour: int = 0, factor: float = 1) -> Series:
    return Series(name, [(row["seconds"], row[name] * factor) for row in timeline], colour)


def latency(values: Values) -> Page:
    batches = values["batches"]
    first = batches[0]["contexts"][0]
    tiles = [
        (f"ms/step, batch {batches[0]['batch_size']}", f"{first['ms_per_step']:.2f}"),
        (f"TTFT of {first['input_len']:,} tokens, ms", f"{first['ttft_ms']:.1f}"),
    ]
    fits = [
        f"batch {b['batch_size']}: {fitted(b)}" for b in batches if b["fit_fixed_ms"] is not None
    ]
    steps = [series for i, batch in enumerate(batches) for series in _fit_series(batch, i)]
    charts = [
        Chart("Time per step and context", "; ".join(fits), lines(steps, "context, tokens", "ms")),
        Chart(
            "Time to the first token",
            "Of all prompts of a batch.",
            lines(
                [_first_tokens(batch, i) for i, batch in enumerate(batches)], "prompt, tokens", "ms"
            ),
        ),
    ]
    return Page("inferd bench latency", setting_line(values), tiles, charts)


def _fit_series(batch: Values, colour: int) -> list[Series]:
    rows = batch["contexts"]
    points = [(row["mean_context"], row["ms_per_step"]) for row in rows]
    name = f"batch {batch['batch_size']}"
    measured = Series(name, points, colour, dots=True, line=False)
    if batch["fit_fixed_ms"] is None:
        return [measured]
    slope = batch["fit_us_per_context_token"] / 1e3
    ends = (0.0, max(context for context, _ in points))
    line = [(context, batch["fit_fixed_ms"] + slope * context) for context in ends]
    return [measured, Series(f"{name}, fitted", line, colour, in_legend=False)]


def _first_tokens(batch: Values, colour: int) -> Series:
    points = {row["input_len"]: row["ttft_ms"] for row in batch["contexts"]}
    return Series(f"batch {batch['batch_size']}", sorted(points.items()), colour, dots=True)


def serve(values: Values) -> Page:
    tiles = [
        ("requests/s", f"{values['requests_per_s']:,.2f}"),
        ("output tokens/s", f"{values['output_tokens_per_s']:,.1f}"),
        ("failed", str(values["failed"])),
        *(
            (f"{name.upper()} p50 / p99, ms", f"{times['p50']:,.1f} / {times['p99']:,.1f}")
            for name in TIMES
            if (times := values[f"{name}_ms"])
        ),
    ]
    if "goodput" in values:
        tiles.append(("goodput", f"{values['goodput']['share']:.1%}"))
    charts = [
        Chart(
            name[0].upper() + name[1:],
            _spread(values[f"{key}_ms"]),
            lines(_curve(key, values), "percentile", "ms"),
        )
        for key, name in TIMES.items()
        if values["curves_ms"][key]
    ]
    return Page("inferd bench serve", title(values), tiles, charts)


def _curve(key: str, values: Values) -> list[Series]:
    marked = [(percent, values[f"{key}_ms"][f"p{percent}"]) for percent in PERCENTILES]
    dots = Series(key, marked, dots=True, line=False, in_legend=False)
    return [Series(key, values["curves_ms"][key]), dots]


def _spread(times: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.1f} ms" for name, value in times.items())


def startup(values: Values) -> Page:
    starts = {"warm": values["phases_s"]}
    if "cold_phases_s" in values:
        starts["cold"] = values["cold_phases_s"]
    rows = [
        Bar(name, list(phases.values()), f"{sum(phases.values()):.2f} s")
        for name, phases in starts.items()
    ]
    names = [PHASES[name] for name in values["phases_s"]]
    tiles = [("first token, s", f"{values['first_token_s']:.2f}")]
    tiles.append(("without torch and device, s", f"{values['over_torch_s']:.2f}"))
    if "cold_over_warm_s" in values:
        tiles.append(("cold over warm, s", f"{values['cold_over_warm_s']:.2f}"))
    words = [_word(row) for row in values["command_line"]]
    charts = [
        Chart("Process start to first token", "By phase.", bars(rows, names)),
        Chart("The command line", "Least of fresh processes; the line is the limit.", bars(words)),
    ]
    return Page("inferd bench startup", setting_line(values), tiles, charts)


def _word(row: Values) -> Bar:
    limit = "" if row["limit_ms"] is None else f" of {row['limit_ms']}"
    return Bar(row["name"], [row["min_ms"]], f"{row['min_ms']:.0f}{limit} ms", row["limit_ms"])


PAGES: dict[str, Callable[[Values], Page]] = {
    "throughput": throughput,
    "latency": latency,
    "serve": serve,
    "startup": startup,
    "roofline": roofline,
}
