"""The bars of inferd beside vLLM on one GPU, and the table of both. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Sections = Mapping[str, Mapping[str, Any]]  # section -> figure -> value, of one engine
HIDDEN = ("runs", "failures", "all_seconds", "version", "requests", "late_p99_ms")
VERDICTS = {True: "holds", False: "MISSED", None: "not judged"}


@dataclass(frozen=True, slots=True)
class Bar:
    """What ours, or ours / theirs, must be."""

    factor: float
    at_most: bool
    absolute: bool = False

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.factor:g}{'' if self.absolute else 'x'}"

    def holds(self, ours: float | None, ratio: float | None) -> bool | None:
        value = ours if self.absolute else ratio
        if value is None:
            return None
        return value <= self.factor if self.at_most else value >= self.factor


def _ratio(least: float) -> Bar:
    return Bar(least, at_most=False)


def _most(factor: float) -> Bar:
    return Bar(factor, at_most=True)


def _limit(value: float) -> Bar:
    return Bar(value, at_most=True, absolute=True)


BARS: dict[tuple[str, str], Bar] = {
    ("w1", "out_tok_s"): _ratio(1.0),
    ("w2", "out_tok_s"): _ratio(1.0),
    ("w3", "out_tok_s"): _ratio(1.15),
    ("batch1", "ms_per_step"): _limit(5.6),
    ("batch8", "ms_per_step"): _most(0.88),
    ("batch32", "ms_per_step"): _most(0.92),
    ("batch128", "ms_per_step"): _most(0.94),
    ("ttft", "in128_ms"): _limit(9.0),
    ("ttft", "in512_ms"): _limit(16.0),
    ("prefill", "in8192_ms"): _limit(215.0),
    ("sampled", "sampled_ratio"): _limit(1.05),  # to greedy steps of the same engine
    ("sampled", "logprobs_ratio"): _limit(1.08),
    ("startup", "over_torch_s"): _limit(6.0),
    ("startup", "cold_over_warm_s"): _limit(15.0),
    **{
        (f"served{rate}", f"{name}_{percentile}_ms"): _most(factor)
        for rate in (8, 16, 32, 64)
        for name in ("ttft", "itl")
        for percentile, factor in (("p50", 1.05), ("p99", 1.10))
    },
    ("served64", "ttft_p50_ms"): _most(0.7),
    ("served64", "window_tok_s"): _ratio(1.15),
    ("served64", "req_s"): _ratio(1.05),
}

TRANSFORMERS = _ratio(8.5)


def compare(found: Mapping[str, Sections], *, judge: bool = True) -> list[dict[str, Any]]:
    """One row for each figure of inferd or vLLM, in the order of measuring; transformers last.

    A ratio whose peer was not measured is not judged. Without `judge` no row has a bar: they are
    for one shape.
    """
    ours, theirs = (found.get(engine, {}) for engine in ("inferd", "vllm"))
    places = [
        (section, figure)
        for section in dict.fromkeys([*ours, *theirs])
        for figure in dict.fromkeys([*ours.get(section, ()), *theirs.get(section, ())])
        if figure not in HIDDEN
    ]
    bars = BARS if judge else {}
    rows = [_row(place, ours, theirs, bars.get(place)) for place in places]
    transformers = found.get("hf", {})
    if "w1" in ours and (judge or "w1" in transformers):
        row = _row(("w1", "out_tok_s"), ours, transformers, TRANSFORMERS if judge else None)
        rows.append(row | {"figure": "out_tok_s, beside transformers"})
    return rows


def _row(
    place: tuple[str, str], ours: Sections, theirs: Sections, bar: Bar | None
) -> dict[str, Any]:
    section, figure = place
    left, right = (found.get(section, {}).get(figure) for found in (ours, theirs))
    ratio = round(left / right, 6) if left is not None and right else None
    return {
        "section": section,
        "figure": figure,
        "inferd": left,
        "peer": right,
        "ratio": None if ratio is None else round(ratio, 3),
        "bar": None if bar is None else str(bar),
        "holds": None if bar is None else bar.holds(left, ratio),
    }


def lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    """For report.table; the first line is the head."""
    shown = [["", "inferd", "peer", "ratio", "bar", ""]]
    for row in rows:
        numbers = [_number(row[name]) for name in ("inferd", "peer", "ratio")]
        verdict = VERDICTS[row["holds"]] if row["bar"] else ""
        shown.append(
            [f"{row['section']} {row['figure']}", *numbers, row["bar"] or "", verdict],
        )
    return shown


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.6g}"
