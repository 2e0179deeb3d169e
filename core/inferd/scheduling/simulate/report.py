"""What a simulation found: throughput, latencies, KV use and preemptions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.simulate.trace import Arrival
from inferd.types import StepStats

PERCENTILES = (50, 90, 99)


class Times:
    """When one request's tokens came, in seconds."""

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.refused = False
        self.first = math.nan
        self.last = math.nan
        self.num_tokens = 0

    def token(self, now: float) -> None:
        if self.num_tokens == 0:
            self.first = now
        self.last = now
        self.num_tokens += 1


class KVUse:
    """Samples, one a step, of what the block pool holds."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._total = scheduler.blocks.pool.total
        self._samples = 0
        self._used = 0
        self._unfilled = 0  # slots of tables beyond the tokens computed
        self.peak = 0

    def measure(self) -> None:
        used = self._scheduler.blocks.pool.num_used
        size = self._scheduler.layout.block_size
        self._samples += 1
        self._used += used
        self.peak = max(self.peak, used)
        for seq in self._scheduler.running.sequences:
            self._unfilled += sum(len(t) * size - seq.num_computed for t in seq.tables)

    @property
    def mean(self) -> float:
        """Share of the pool in use."""
        return self._used / (self._samples * self._total) if self._samples else 0.0

    @property
    def waste(self) -> float:
        """Allocated but unfilled slots over allocated ones."""
        slots = self._used * self._scheduler.layout.block_size
        return self._unfilled / slots if slots else 0.0


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Nearest rank: always a value that occurred; nan of nothing."""
    ordered = sorted(values)
    if not ordered:
        return {f"p{p}": math.nan for p in PERCENTILES}
    ranks = {p: max(1, math.ceil(p / 100 * len(ordered))) for p in PERCENTILES}
    return {f"p{p}": ordered[rank - 1] for p, rank in ranks.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """One simulation. `as_dict` is its JSON, `table` is for people."""

    requests: int
    refused: int
    seconds: float
    requests_per_s: float
    output_tokens_per_s: float
    total_tokens_per_s: float  # prompt and output
    ttft_ms: dict[str, float]
    tpot_ms: dict[str, float]  # between the tokens of a request
    steps: int
    computed_tokens: int  # more than the requests have when preempted ones are recomputed
    cached_tokens: int  # found in the prefix cache
    preemptions: int
    kv_mean: float  # share of the pool in use, over steps
    kv_peak: float
    kv_waste: float  # allocated but unfilled slots over allocated ones

    @classmethod
    def of(cls, times: Iterable[Times], kv: KVUse, stats: StepStats, seconds: float) -> Report:
        times = list(times)
        served = [each for each in times if not each.refused]
        prompts = sum(each.arrival.prompt_tokens for each in served)
        outputs = sum(each.num_tokens for each in served)
        per_s = 1 / seconds if seconds else 0.0
        return cls(
            requests=len(served),
            refused=len(times) - len(served),
            seconds=seconds,
            requests_per_s=len(served) * per_s,
            output_tokens_per_s=outputs * per_s,
            total_tokens_per_s=(prompts + outputs) * per_s,
            ttft_ms=percentiles((each.first - each.arrival.at) * 1e3 for each in served),
            tpot_ms=percentiles(
                (each.last - each.first) * 1e3 / (each.num_tokens - 1)
                for each in served
                if each.num_tokens > 1
            ),
            steps=stats.num_steps,
            computed_tokens=stats.num_tokens,
            cached_tokens=stats.prefix_hits,
            preemptions=stats.num_preemptions,
            kv_mean=kv.mean,
            kv_peak=kv.peak / stats.num_blocks,
            kv_waste=kv.waste,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def table(self) -> str:
        return "\n".join(f"{name:<22} {value}" for name, value in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("requests", f"{self.requests} served, {self.refused} refused"),
            ("virtual time", f"{self.seconds:.2f} s"),
            ("throughput", f"{self.requests_per_s:.2f} requests/s"),
            ("output tokens", f"{self.output_tokens_per_s:,.0f} tok/s"),
            ("total tokens", f"{self.total_tokens_per_s:,.0f} tok/s"),
            ("TTFT", _percentile_text(self.ttft_ms)),
            ("TPOT", _percentile_text(self.tpot_ms)),
            ("steps", f"{self.steps:,}, {self.computed_tokens / max(1, self.steps):.0f} tok each"),
            ("prefix cache", f"{self.cached_tokens:,} tokens found"),
            ("preemptions", f"{self.preemptions:,}"),
            ("KV in use", f"{self.kv_mean:.1%} mean, {self.kv_peak:.1%} peak"),
            ("KV waste", f"{self.kv_waste:.2%} of the allocated slots"),
        ]


def _percentile_text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in values.items()) + " ms"
