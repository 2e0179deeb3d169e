"""Timing of one request: feeds the latency histograms and token counters."""

from __future__ import annotations

import time

from inferd.engine.outputs import CompletionOutput
from inferd_server.metrics import Metrics


class _Sample:
    __slots__ = ("first", "last", "num_tokens")

    def __init__(self, now: float) -> None:
        self.first = self.last = now
        self.num_tokens = 0


class Timing:
    """`arrival` is monotonic seconds."""

    __slots__ = ("_arrival", "_metrics", "_num_prompt_tokens", "_samples")

    def __init__(self, metrics: Metrics, num_prompt_tokens: int, arrival: float) -> None:
        self._metrics = metrics
        self._num_prompt_tokens = num_prompt_tokens
        self._arrival = arrival
        self._samples: dict[int, _Sample] = {}

    def record(self, output: CompletionOutput) -> None:
        """Called with every delta of every sample."""
        now = time.monotonic()
        metrics = self._metrics
        sample = self._samples.get(output.index)
        if sample is None:
            if not self._samples:
                metrics.ttft.observe(now - self._arrival)
                metrics.prompt_tokens.inc(self._num_prompt_tokens)
            sample = self._samples[output.index] = _Sample(now)
        else:
            metrics.itl.observe(now - sample.last)
        sample.last = now
        sample.num_tokens += len(output.token_ids)
        metrics.generation_tokens.inc(len(output.token_ids))
        if output.finish_reason is not None:
            self._finish(sample, output.finish_reason)

    def _finish(self, sample: _Sample, reason: str) -> None:
        metrics = self._metrics
        metrics.finished(reason)
        metrics.e2e.observe(sample.last - self._arrival)
        if sample.num_tokens > 1:
            metrics.tpot.observe((sample.last - sample.first) / (sample.num_tokens - 1))
