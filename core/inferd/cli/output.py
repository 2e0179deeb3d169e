"""Listings: a table on a terminal, JSON lines when piped or asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def show_rows(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """One JSON object per line when `as_json`, else aligned columns."""
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    if not rows:
        print("nothing to show")
        return
    columns = list(rows[0])
    cells = [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [
        max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)
    ]
    for line in [columns, *cells]:
        print("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip())


def wants_json(flag: bool) -> bool:
    """--json, or a pipe."""
    return flag or not sys.stdout.isatty()
