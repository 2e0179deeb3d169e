"""How far the weights are: a line that rewrites itself on a terminal, elsewhere one at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self, TextIO

PATIENCE = 2.0  # seconds after which one wants to know
INTERVAL = 0.2  # seconds between two lines
GB = 1e9
CLEAR = "\r\033[K"


class Reading:
    """Context manager, called with the bytes done. Silent where it takes no time."""

    def __init__(
        self,
        total: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stream`: standard error, unless it is redirected; `clock` counts seconds."""
        self._total, self._clock = total, clock
        self._stream = stream or sys.stderr
        ours = stream is not None or self._stream is sys.__stderr__
        self._rewrites = ours and self._stream.isatty()
        self._started, self._shown, self._done = clock(), 0.0, 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int) -> None:
        self._done = min(done, self._total)  # tensors may be larger than they were stored
        seconds = self._clock() - self._started
        if self._rewrites and seconds >= max(PATIENCE, self._shown + INTERVAL):
            self._shown = seconds
            left = (self._total - self._done) / max(self._done, 1) * seconds
            self._stream.write(f"{CLEAR}{self._text(seconds)}, {left:.0f} s left")
            self._stream.flush()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = self._clock() - self._started
        if self._shown:
            self._stream.write(CLEAR)
            self._stream.flush()
        elif kind is None and seconds >= PATIENCE and not self._rewrites:
            self._stream.write(f"inferd: {self._text(seconds)}, {seconds:.0f} s\n")

    def _text(self, seconds: float) -> str:
        rate = self._done / GB / max(seconds, 1e-9)
        return f"weights: {self._done / GB:.1f} of {self._total / GB:.1f} GB, {rate:.2f} GB/s"
