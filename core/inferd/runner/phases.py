"""Phases: how long each part of a worker's start took."""

from __future__ import annotations

import time

from inferd.contracts.platform import Platform


class Phases:
    """Seconds by phase, in their order; each begins where the one before ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def end(self, name: str, platform: Platform) -> None:
        """Waits for the device, so that a phase has the work that it submitted."""
        platform.synchronize()
        ended = time.perf_counter()
        self.seconds[name] = round(ended - self._began, 4)
        self._began = ended
