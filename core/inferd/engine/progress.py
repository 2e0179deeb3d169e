"""A progress bar for offline generation; silent when standard error is not a terminal."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Context manager around a batch of `total` requests."""

    def __init__(self, total: int, show: bool) -> None:
        self._total = total
        self._show = show and total > 0 and sys.stderr.isatty()
        self._tokens = 0
        self._started = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self._show:
            from rich import progress as rp
            from rich.console import Console

            self._bar = rp.Progress(
                rp.TextColumn("generating"),
                rp.BarColumn(),
                rp.MofNCompleteColumn(),
                rp.TimeElapsedColumn(),
                rp.TextColumn("{task.fields[rate]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total, rate="")
        return self

    def advance(self, tokens: int, finished: bool) -> None:
        self._tokens += tokens
        if self._bar is not None:
            seconds = time.monotonic() - self._started
            rate = f"{self._tokens / max(seconds, 1e-9):.0f} tok/s"
            self._bar.update(self._task, advance=int(finished), rate=rate)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
