"""Who else used the cores while a driver ran, and what drivers leave behind (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bench.peers.measure import children_of

BUSY = (1, 2, 3, 6, 7)  # fields of /proc/stat's first line: user, nice, system, irq, softirq
PR_SET_CHILD_SUBREAPER = 36
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


def adopt_orphans() -> None:
    """From now on, children whose parent ends become this process's own."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children() -> None:
    """Kill and reap what a driver left behind: only then its CPU time counts as this run's."""
    while pids := children_of(os.getpid()):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def read_stat(text: str, ticks_per_second: float) -> tuple[float, float]:
    """(busy, stolen) seconds since boot from the text of /proc/stat."""
    fields = text.splitlines()[0].split()
    busy = sum(int(fields[i]) for i in BUSY)
    return busy / ticks_per_second, int(fields[STEAL]) / ticks_per_second
