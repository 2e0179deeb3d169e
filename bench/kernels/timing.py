"""`inferd.cli.bench.timing` on this machine's GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable

from inferd.cli.bench import timing
from inferd.cli.bench.timing import ROUNDS
from inferd.config.engine import EngineConfig
from inferd.contracts.platform import Platform
from inferd.host.host import Host
from inferd.runner.choices import choose_platform


@functools.cache
def gpu() -> Platform:
    """The platform that a worker would have. Raises SystemExit where nothing can be recorded."""
    platform = choose_platform(EngineConfig.of("none"), Host())
    if not platform.can_record:
        raise SystemExit(f"these figures are of a GPU, and the platform here is {platform.name}")
    platform.prepare()
    return platform


def graph_time(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of one replay of a graph of `run`: the median."""
    return timing.seconds_of(gpu(), run, rounds)


def copy_rate() -> float:
    """TB/s read and written by a copy on the device."""
    return timing.copy_rate(gpu()) / 1e12
