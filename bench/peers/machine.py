"""Who else used the cores while a driver ran (Linux)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

BUSY = (1, 2, 3, 6, 7)  # fields of /proc/stat's first line: user, nice, system, irq, softirq
STEAL = 8  # what the hypervisor gave to others


@dataclass(frozen=True, slots=True)
class CpuClock:
    """Seconds of CPU: of the whole machine, stolen from it, and of this process's children."""

    wall: float
    busy: float
    stolen: float
    children: float

    @classmethod
    def now(cls) -> CpuClock:
        """Children count once they have ended and were waited for."""
        busy, stolen = read_stat(Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK"))
        spent = os.times()
        own = spent.user + spent.system
        children = spent.children_user + spent.children_system
        return cls(time.monotonic(), busy - own, stolen, children)

    def foreign_cores(self, later: CpuClock) -> float:
        """Cores, on average, that neither this process nor its children used but others did."""
        busy = (later.busy - self.busy) - (later.children - self.children)
        stolen = later.stolen - self.stolen
        return round(max(0.0, busy + stolen) / max(later.wall - self.wall, 1e-9), 2)


def read_stat(text: str, ticks_per_second: float) -> tuple[float, float]:
    """(busy, stolen) seconds since boot from the text of /proc/stat."""
    fields = text.splitlines()[0].split()
    busy = sum(int(fields[i]) for i in BUSY)
    return busy / ticks_per_second, int(fields[STEAL]) / ticks_per_second
