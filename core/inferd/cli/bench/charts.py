"""Charts as inline SVG: bars, stacked bars, lines; and a table with shades.

Colours and fonts are those of html.py's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
LABELS = 190  # of bars, at the left
RIGHT = 150  # of bars: the values
ROW = 30
LETTER = 7.5  # the width of one, about
COLOURS = 10  # classes c0 to c9
LEFT, TOP, BOTTOM, MARGIN = 64, 30, 44, 24  # of lines
HEIGHT = 300


@dataclass(frozen=True, slots=True)
class Bar:
    """`parts` are stacked; `mark` is drawn across, for a limit."""

    label: str
    parts: Sequence[float]
    note: str
    mark: float | None = None


Cell = tuple[str, float | None]  # its text, and how dark it is: 0 to 1


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    dots: bool = False
    line: bool = True
    in_legend: bool = True


def bars(rows: Sequence[Bar], names: Sequence[str] = (), mark: float | None = None) -> str:
    """Horizontal, on one scale from 0. `mark` is a line through all of them, at 100 % for example.

    `names` of the parts make a legend.
    """
    ends = [sum(row.parts) for row in rows] + [row.mark or 0.0 for row in rows]
    scale = (WIDTH - LABELS - RIGHT) / (max([*ends, mark or 0.0]) or 1.0)
    height = ROW * len(rows) + 8
    shapes = [] if mark is None else [_vertical(LABELS + mark * scale, 0, height, "mark")]
    shapes += [_bar(row, i * ROW + 4, scale) for i, row in enumerate(rows)]
    legend = {name: i for i, name in enumerate(names)}
    return _legend(legend) + _svg("".join(shapes), height)


def _bar(row: Bar, y: float, scale: float) -> str:
    middle = y + ROW / 2
    shapes = [_text(LABELS - 10, middle, row.label, "end")]
    x = float(LABELS)
    for i, part in enumerate(row.parts):
        width = max(0.0, part * scale)
        shapes.append(
            f'<rect class="c{i % COLOURS}" x="{x:.1f}" y="{y + 4:.1f}" '
            f'width="{width:.1f}" height="{ROW - 8}"/>'
        )
        x += width
    if row.mark is not None:
        limit = LABELS + row.mark * scale
        shapes.append(_vertical(limit, y, y + ROW, "limit"))
        x = limit if x - 4 < limit < x + 16 + LETTER * len(row.note) else x
    shapes.append(_text(x + 8, middle, row.note, "start", "value"))
    return "".join(shapes)


def lines(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Points joined by lines, both axes from 0 or below."""
    points = [point for each in series for point in each.points]
    x_ticks, y_ticks = (ticks(max(point[i] for point in points)) for i in range(2))
    right, bottom = WIDTH - MARGIN, HEIGHT - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + x / x_ticks[-1] * (right - LEFT),
            bottom - y / y_ticks[-1] * (bottom - TOP),
        )

    shapes = [_axis_x(at(x, 0)[0], x) for x in x_ticks]
    shapes += [_axis_y(at(0, y)[1], y, right) for y in y_ticks]
    shapes.append(_text((LEFT + right) / 2, HEIGHT - 8, x_label, "middle", "name"))
    shapes.append(_text(LEFT - 8, 8, y_label, "end" if len(y_label) < 9 else "start", "name"))
    shapes += [_drawn(each, [at(*point) for point in each.points]) for each in series]
    names = {each.name: each.colour for each in series if each.in_legend}
    return _legend(names if len(names) > 1 else {}) + _svg("".join(shapes), HEIGHT)


def _drawn(series: Series, points: Sequence[tuple[float, float]]) -> str:
    colour = series.colour % COLOURS
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    shapes = f'<polyline class="s{colour}" points="{path}"/>' if series.line else ""
    if series.dots:
        shapes += "".join(
            f'<circle class="c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points
        )
    return f"<g><title>{escape(series.name)}</title>{shapes}</g>"


def shaded(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
    """A table whose cells are the darker the closer they are to 1."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><th>{escape(label)}</th>{''.join(map(_shaded_cell, cells))}</tr>"
        for label, cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shaded_cell(cell: Cell) -> str:
    text, share = cell
    shade = "" if share is None else f' style="background: rgb(42 167 122 / {_alpha(share)})"'
    return f"<td{shade}>{escape(text)}</td>"


def _alpha(share: float) -> str:
    return f"{0.55 * min(1.0, max(0.0, share)):.3f}"


def ticks(most: float) -> list[float]:
    """From 0 to `most` or more, in four to six steps of 1, 2 or 5 times a power of ten."""
    if not most > 0:
        return [0.0, 1.0]
    rough = most / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
    return [i * step for i in range(math.ceil(most / step * 0.999) + 1)]


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def _axis_x(x: float, value: float) -> str:
    return _text(x, HEIGHT - BOTTOM + 14, number(value), "middle", "tick")


def _axis_y(y: float, value: float, right: float) -> str:
    line = f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
    return line + _text(LEFT - 8, y, number(value), "end", "tick")


def _vertical(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _legend(names: Mapping[str, int]) -> str:
    items = "".join(
        f'<li><span class="k{colour % COLOURS}"></span>{escape(name)}</li>'
        for name, colour in names.items()
    )
    return f'<ul class="legend">{items}</ul>' if names else ""


def _svg(shapes: str, height: float) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img">{shapes}</svg>'
