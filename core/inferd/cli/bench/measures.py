"""The arithmetic of benchmarks: percentiles, a fitted line, arrival times, goodput. No clocks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inferd.errors import UsageError

PERCENTILES = (50, 90, 99)
LIMITED = ("ttft", "tpot", "e2el")  # what --goodput can bound


def percentile(values: Sequence[float], percent: float) -> float:
    """With linear interpolation between the nearest ranks, as numpy does; `values` not empty."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def summary(values: Sequence[float]) -> dict[str, float] | None:
    """Mean and percentiles, rounded to microseconds of milliseconds; None without values."""
    if not values:
        return None
    found = {"mean": statistics.fmean(values)}
    found |= {f"p{percent}": percentile(values, percent) for percent in PERCENTILES}
    return {name: round(value, 3) for name, value in found.items()}


def curve(values: Sequence[float]) -> list[tuple[int, float]]:
    """(percent, value) over the whole distribution, for a plot."""
    points = (*range(0, 100, 5), 99, 100) if values else ()
    return [(percent, round(percentile(values, percent), 3)) for percent in points]


def fit_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Least squares (a, b) of y = a + b x; None when the x do not differ."""
    if len(set(x)) < 2:
        return None
    line = statistics.linear_regression(x, y)
    return line.intercept, line.slope


def arrivals(count: int, rate: float, kind: str, seed: int) -> list[float]:
    """Seconds at which `count` requests are sent, the first at 0; all at 0 for an infinite rate.

    poisson: gaps drawn from an exponential distribution of mean 1/rate; fixed: equal gaps.
    """
    if math.isinf(rate):
        return [0.0] * count
    if kind == "fixed":
        return [i / rate for i in range(count)]
    gaps = np.random.default_rng(seed).exponential(1 / rate, max(0, count - 1))
    return [0.0, *np.cumsum(gaps).tolist()][:count]


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests within every limit (milliseconds)."""

    limits: Mapping[str, float]

    @classmethod
    def parse(cls, words: Sequence[str]) -> Goodput | None:
        """From `ttft:500 tpot:50`; raises UsageError."""
        limits = {}
        for word in words:
            name, _, value = word.partition(":")
            try:
                limits[name] = float(value)
            except ValueError:
                limits[name] = math.nan
            if name not in LIMITED or not limits[name] > 0:
                raise UsageError(
                    f"--goodput {word!r}: give NAME:MILLISECONDS with a name of "
                    f"{', '.join(LIMITED)}, for example --goodput ttft:500 tpot:50"
                )
        return cls(limits) if limits else None

    def holds(self, measured: Mapping[str, float | None]) -> bool:
        """Whether a request is within the limits; a time it does not have (one token) passes."""
        return all((measured[name] or 0.0) <= limit for name, limit in self.limits.items())
