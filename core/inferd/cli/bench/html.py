"""A benchmark's report as one HTML file: it opens without a network and runs no script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from inferd.cli.bench.report import Report
from inferd.errors import UsageError

PALETTE = (
    "#2f6fde", "#f0973b", "#2aa77a", "#d3505f", "#8464d6",
    "#7a8699", "#17a2b8", "#d56bb3", "#9aa832", "#8a6a4f",
)  # fmt: skip
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f7f9; color: #1d2530;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 24px; margin: 0 0 4px; }
h2 { font-size: 16px; margin: 0; }
p { margin: 2px 0 12px; color: #5a6675; }
section, details { background: #fff; border: 1px solid #e3e7ec; border-radius: 10px;
  padding: 18px 22px; margin-top: 18px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; list-style: none; padding: 0;
  margin: 20px 0 0; }
.tiles li { flex: 1 1 120px; background: #fff; border: 1px solid #e3e7ec; border-radius: 10px;
  padding: 12px 16px; color: #5a6675; font-size: 13px; }
.tiles b { display: block; color: #1d2530; font-size: 20px; font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding: 0;
  margin: 0 0 8px; font-size: 13px; color: #5a6675; }
.legend span { display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  margin-right: 6px; vertical-align: -1px; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 13px; fill: #1d2530; }
svg .tick, svg .name { font-size: 12px; fill: #5a6675; }
svg .value { font-variant-numeric: tabular-nums; paint-order: stroke; stroke: #fff;
  stroke-width: 4px; }
table { width: 100%; border-collapse: collapse; font-size: 13px;
  font-variant-numeric: tabular-nums; }
td, th { padding: 5px 8px; text-align: right; font-weight: 400; border-bottom: 1px solid #eef0f3; }
thead th { color: #5a6675; }
tr th:first-child { text-align: left; }
svg .grid { stroke: #e3e7ec; }
svg .mark { stroke: #7a8699; stroke-dasharray: 4 4; }
svg .limit { stroke: #1d2530; stroke-width: 2; }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
pre { overflow-x: auto; font-size: 12.5px; margin: 12px 0 0; }
summary { cursor: pointer; font-weight: 600; }
"""


@dataclass(frozen=True, slots=True)
class Chart:
    """`body` is what charts.py draws."""

    title: str
    note: str
    body: str


@dataclass(frozen=True, slots=True)
class Page:
    """`tiles` are (name, value), the figures to see first."""

    title: str
    setting: str
    tiles: Sequence[tuple[str, str]]
    charts: Sequence[Chart]


def write_page(path: Path, page: Page, report: Report) -> None:
    """The page, with the report's text and values below. Raises UsageError."""
    try:
        path.write_text(render(page, report.text, report.values), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html {path}: {error.strerror}") from None


def render(page: Page, text: str, values: dict[str, Any]) -> str:
    colours = "".join(
        f".c{i} {{ fill: {c}; }} .s{i} {{ stroke: {c}; }} .k{i} {{ background: {c}; }}\n"
        for i, c in enumerate(PALETTE)
    )
    tiles = "".join(f"<li><b>{escape(v)}</b>{escape(name)}</li>" for name, v in page.tiles)
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(page.title)}</title><style>{STYLE}{colours}</style></head><body><main>",
        f"<h1>{escape(page.title)}</h1><p>{escape(page.setting)}</p>",
        f'<ul class="tiles">{tiles}</ul>',
        *map(_section, page.charts),
        _folded("As text", text),
        _folded("As JSON", json.dumps(values, indent=1)),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _section(chart: Chart) -> str:
    head = f"<h2>{escape(chart.title)}</h2><p>{escape(chart.note)}</p>"
    return f"<section>{head}{chart.body}</section>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(content)}</pre></details>"
