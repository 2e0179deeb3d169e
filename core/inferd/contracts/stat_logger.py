"""StatLogger: receives the engine's state at intervals, off the step path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from inferd.types import StepStats


class StatLogger(ABC):
    name: ClassVar[str]

    @abstractmethod
    def record(self, stats: StepStats) -> None: ...

    def close(self) -> None:  # noqa: B027 - most loggers hold nothing
        """Flush; called once at shutdown."""
