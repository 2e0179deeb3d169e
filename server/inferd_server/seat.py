"""Seat: a front end's place among those of its server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inferd_server.shared import Shared

METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Seat:
    """By default the only one."""

    number: int = 0
    count: int = 1
    folder: Path | None = None  # where they find each other; None: there is one only
    shared: Shared = field(default_factory=Shared)

    @property
    def metrics(self) -> Path | None:
        """Where each keeps its counters, so that all can be read."""
        return self.folder / METRICS if self.folder else None

    def socket(self, number: int) -> Path:
        """On which that one answers the others."""
        assert self.folder is not None, "there are no others"
        return self.folder / f"front-{number}.sock"


ALONE = Seat()
