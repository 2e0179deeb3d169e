"""From outcomes to the report of `inferd bench serve`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from inferd.cli.bench.measures import Goodput, curve, summary
from inferd.cli.bench.outcome import Outcome
from inferd.cli.bench.report import pairs, table

TIMES = {
    "ttft": "first token (TTFT)",
    "tpot": "per further token (TPOT)",
    "itl": "between pieces (ITL)",
    "e2el": "whole request (E2EL)",
}


def summarize(
    outcomes: Sequence[Outcome], seconds: float, goodput: Goodput | None
) -> dict[str, Any]:
    """Counts, rates and times (ms). Failed requests are counted by reason and left out of times."""
    good = [outcome for outcome in outcomes if outcome.error is None]
    times = [outcome.times_ms for outcome in good]
    tokens_out = sum(outcome.num_output for outcome in good)
    tokens_in = sum(outcome.num_prompt for outcome in good)
    values: dict[str, Any] = {
        "seconds": round(seconds, 3),
        "requests": len(outcomes),
        "completed": len(good),
        "failed": len(outcomes) - len(good),
        "failures": dict(Counter(outcome.error for outcome in outcomes if outcome.error)),
        "prompt_tokens": tokens_in,
        "output_tokens": tokens_out,
        "requests_per_s": round(len(good) / seconds, 3),
        "output_tokens_per_s": round(tokens_out / seconds, 2),
        "total_tokens_per_s": round((tokens_in + tokens_out) / seconds, 2),
    }
    found = {
        name: [v for each in times if (v := each[name]) is not None]
        for name in ("ttft", "tpot", "e2el")
    }
    found["itl"] = [gap for outcome in good for gap in outcome.gaps_ms]
    values |= {f"{name}_ms": summary(each) for name, each in found.items()}
    values["curves_ms"] = {name: curve(each) for name, each in found.items()}
    if goodput is not None:
        values["goodput"] = _goodput(goodput, times, len(outcomes), seconds)
    return values


def _goodput(
    goodput: Goodput, times: Sequence[dict[str, float | None]], sent: int, seconds: float
) -> dict[str, Any]:
    held = sum(goodput.holds(each) for each in times)
    return {
        "limits_ms": dict(goodput.limits),
        "requests": held,
        "share": round(held / max(1, sent), 4),  # a failed request held nothing
        "requests_per_s": round(held / seconds, 3),
    }


def text(values: dict[str, Any]) -> str:
    rows = [
        ("requests", f"{values['completed']} completed, {values['failed']} failed"),
        *(("", f"{count} x {reason}") for reason, count in values["failures"].items()),
        ("duration", f"{values['seconds']:.2f} s"),
        ("tokens", f"{values['prompt_tokens']:,} in, {values['output_tokens']:,} out"),
        ("requests/s", f"{values['requests_per_s']:.2f}"),
        ("output tok/s", f"{values['output_tokens_per_s']:,.1f}"),
        ("total tok/s", f"{values['total_tokens_per_s']:,.1f}"),
    ]
    if "ready_s" in values:
        rows.insert(0, ("server ready", f"{values['ready_s']:.2f} s after its start"))
    if "goodput" in values:
        rows.append(("goodput", _goodput_line(values["goodput"])))
    return f"{pairs(title(values), rows)}\n{_times_table(values)}"


def title(values: dict[str, Any]) -> str:
    rate = values["request_rate"]
    pace = "all at once" if rate is None else f"{rate:g} requests/s ({values['arrivals']})"
    limit = values["max_concurrency"]
    bound = "" if limit is None else f", at most {limit} in flight"
    return f"serve: {values['model']} at {values['url']}, {pace}{bound}"


def _goodput_line(good: dict[str, Any]) -> str:
    limits = " ".join(f"{name}<={limit:g}ms" for name, limit in good["limits_ms"].items())
    return (
        f"{good['requests']} requests ({good['share']:.1%}), "
        f"{good['requests_per_s']:.2f} per s within {limits}"
    )


def _times_table(values: dict[str, Any]) -> str:
    rows = []
    for name, title in TIMES.items():
        found = values[f"{name}_ms"]
        shown = found or dict.fromkeys(("mean", "p50", "p90", "p99"))
        rows.append([title, *("-" if v is None else f"{v:,.1f}" for v in shown.values())])
    return table(["ms", "mean", "p50", "p90", "p99"], rows)
