"""SchedulePolicy: the order in which sequences get tokens and blocks. Plain Python, no tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from inferd.types import Sequence


class SchedulePolicy(ABC):
    """Made once per scheduler.

    Waiting sequences are admitted by rising key, and running ones are served by rising key; when
    memory runs out the running sequence with the greatest key is preempted.
    """

    name: ClassVar[str]

    @abstractmethod
    def key(self, sequence: Sequence) -> tuple[int, ...]:
        """Fixed while the sequence lives; must differ between sequences."""
