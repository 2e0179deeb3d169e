"""Listings: aligned columns for people, one JSON object per line for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

LEAST_WIDTH = 30  # of the last column, however narrow the terminal


def show_rows(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """One JSON object per line when `as_json`, else aligned columns.

    On a terminal the last column wraps within its width; in a pipe each row stays one line.
    """
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    if not rows:
        print("nothing to show")
        return
    columns = list(rows[0])
    cells = [columns, *([_text(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns) - 1)]
    room = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths)
    for *fixed, last in cells:
        wrapped = [last]
        if sys.stdout.isatty():
            wrapped = textwrap.wrap(last, max(LEAST_WIDTH, room), break_on_hyphens=False) or [""]
        for number, part in enumerate(wrapped):
            texts = fixed if number == 0 else [""] * len(fixed)
            padded = [text.ljust(width) for text, width in zip(texts, widths, strict=True)]
            print("  ".join([*padded, part]).rstrip())


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
