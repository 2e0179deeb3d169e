"""Report: what a benchmark found, as one JSON object and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """`values` is the JSON object; `complaints` make the exit code 3."""

    values: dict[str, Any]
    text: str
    complaints: list[str] = field(default_factory=list)


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """A title and aligned name-value lines."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([title, *(f"  {name:{width}}  {value}" for name, value in rows)])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned to the right, except the first."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join("  " + _line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    rest = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([f"{cells[0]:{widths[0]}}", *rest]).rstrip()
