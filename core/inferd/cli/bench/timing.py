"""Times of kernels, and the rates of a device that they are held to."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from inferd.contracts.platform import Platform

ROUNDS = 9
FEW_ROUNDS = 3  # of what takes longer than LONG_S
LONG_S = 0.1
ROUND_S = 0.01  # at least, so that neither the clock nor the first launch shows
COPY_BYTES = 1 << 30  # more than any cache holds
COPY_SHARE = 8  # of the free memory, where that is less
MATMUL_SIZES = (1024, 2048, 4096, 8192)
MATMUL_S = 1e-3  # a product that takes as long shows the rate


def seconds_of(platform: Platform, run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of one `run`: the median of rounds, each of several in a row.

    Where the platform can record, launches are replayed, so that the host's part is left out.
    """
    run()  # compiles
    again = _recorded(platform, run) if platform.can_record else run
    once = _timed(platform, again, 1)
    number = max(1, math.ceil(ROUND_S / max(once, 1e-9)))
    rounds = rounds if once < LONG_S else min(rounds, FEW_ROUNDS)
    return median(_timed(platform, again, number) for _ in range(rounds))


def _recorded(platform: Platform, run: Callable[[], object]) -> Callable[[], object]:
    def launch() -> Sequence[Tensor]:
        run()
        return ()

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The CUDA Graph is empty")  # a part may launch nothing
        recorded = platform.record(launch)
    recorded.replay()
    return recorded.replay


def _timed(platform: Platform, run: Callable[[], object], number: int) -> float:
    platform.synchronize()
    started = time.perf_counter()
    for _ in range(number):
        run()
    platform.synchronize()
    return (time.perf_counter() - started) / number


def copy_rate(platform: Platform) -> float:
    """Bytes per second, read and written, of a copy within the device's memory."""
    size = min(COPY_BYTES, platform.free_memory() // COPY_SHARE)
    source = torch.ones(size, dtype=torch.uint8, device=platform.device)
    to = torch.empty_like(source)
    return 2 * size / seconds_of(platform, lambda: to.copy_(source))


def matmul_rate(platform: Platform, dtype: torch.dtype) -> float:
    """FLOP per second of a product of square matrices, as large as needed to show it."""
    for size in MATMUL_SIZES:
        a, b = (torch.randn(size, size, device=platform.device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        taken = seconds_of(platform, lambda a=a, b=b, out=out: torch.mm(a, b, out=out))  # type: ignore[misc]
        if taken > MATMUL_S:
            break
    return 2.0 * size**3 / taken


@dataclass(frozen=True, slots=True)
class Limits:
    """What this device was measured to do."""

    bytes_per_s: float
    flops_per_s: float

    @classmethod
    def measure(cls, platform: Platform, dtype: torch.dtype) -> Limits:
        return cls(copy_rate(platform), matmul_rate(platform, dtype))

    def seconds(self, moved: int, flops: int) -> float:
        """The least time of a kernel that moves so many bytes and computes so much."""
        return max(moved / self.bytes_per_s, flops / self.flops_per_s)
