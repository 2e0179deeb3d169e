"""The HTML report of `inferd bench roofline`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferd.cli.bench.charts import Bar, bars, shaded
from inferd.cli.bench.html import Chart, Page
from inferd.cli.bench.offline import setting_line

Values = dict[str, Any]
SHARE_NOTE = "Share of the least time that this device's copy and matmul rates allow."


def roofline(values: Values) -> Page:
    steps = values["decode"]
    tiles = [
        ("copy, GB/s", f"{values['copy_gb_per_s']:,.0f}"),
        ("matmul, TFLOP/s", f"{values['matmul_tflop_per_s']:,.1f}"),
        (f"ms a step, {_rows(steps[0])}", f"{steps[0]['step_ms']:.2f}"),
        ("its share of the limit", f"{steps[0]['share']:.0%}"),
    ]
    budget = [
        Bar(_rows(step), _budget(step), f"{step['step_ms']:.2f} ms", step["limit_ms"])
        for step in steps
    ]
    charts = [
        Chart(
            f"Decode steps at context {values['context']}",
            "Each part by itself, and what the whole step takes beyond; the line is the limit.",
            bars(budget, ["linears", "attention", "other kernels", "rest of the step"]),
        ),
        Chart("Decode kernels", SHARE_NOTE, _by_rows(steps)),
        Chart("Decode attention alone", SHARE_NOTE, _attention(values["attention"])),
    ]
    if prefill := values["prefill"]:
        note = f"{SHARE_NOTE} The step takes {prefill['step_ms']:,.1f} ms."
        body = _shares(prefill["kernels"])
        charts.append(Chart(f"Prompt of {prefill['tokens']:,} tokens", note, body))
    return Page("inferd bench roofline", setting_line(values), tiles, charts)


def _rows(step: Values) -> str:
    return f"{step['rows']} row{'s' if step['rows'] > 1 else ''}"


def _budget(step: Values) -> list[float]:
    parts = [part["ms"] for part in step["parts"].values()]
    return [*parts, max(0.0, step["step_ms"] - sum(parts))]


def _by_rows(steps: Sequence[Values]) -> str:
    columns = ["ms, share", *map(_rows, steps)]
    parts = [{part["name"]: part for part in step["kernels"]} for step in steps]
    rows = [(name, [_cell(each[name]) for each in parts]) for name in parts[0]]
    return shaded(columns, rows)


def _cell(part: Values) -> tuple[str, float | None]:
    share = "" if part["share"] is None else f", {part['share']:.0%}"
    return f"{part['ms']:,.3f}{share}", part["share"]


def _attention(parts: Sequence[Values]) -> str:
    rows = [
        Bar(
            part["case"],
            [part["share"] * 100],
            f"{part['share']:.0%}, {part['ms'] / part['calls'] * 1e3:,.1f} us a layer",
        )
        for part in parts
    ]
    return bars(rows, mark=100)


def _shares(parts: Sequence[Values]) -> str:
    rows = [
        Bar(part["name"], [part["share"] * 100], f"{part['share']:.0%}, {part['ms']:,.2f} ms")
        for part in parts
        if part["share"] is not None
    ]
    return bars(rows, mark=100)
