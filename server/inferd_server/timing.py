"""Timing of one request: feeds the latency histograms and token counters, and its span."""

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
    """All times are monotonic seconds; 0 stands for what has not happened."""

    __slots__ = (
        "_metrics",
        "_samples",
        "arrival",
        "began",
        "first",
        "last",
        "num_prompt_tokens",
        "reasons",
    )

    def __init__(self, metrics: Metrics, num_prompt_tokens: int, arrival: float) -> None:
        self._metrics = metrics
        self._samples: dict[int, _Sample] = {}
        self.num_prompt_tokens = num_prompt_tokens
        self.arrival = arrival
        self.began = 0.0  # its prompt's first step
        self.first = 0.0  # the first token of any sample
        self.last = 0.0
        self.reasons: list[str] = []  # of the samples that have ended

    @property
    def num_tokens(self) -> int:
        """Of all samples."""
        return sum(sample.num_tokens for sample in self._samples.values())

    def record(self, output: CompletionOutput, began: float) -> None:
        """Called with every delta of every sample; `began` is the engine's word."""
        now = time.monotonic()
        metrics = self._metrics
        sample = self._samples.get(output.index)
        if sample is None:
            if not self._samples:
                self._begin(now, began)
            sample = self._samples[output.index] = _Sample(now)
        else:
            metrics.itl.observe(now - sample.last)
        self.last = sample.last = now
        sample.num_tokens += len(output.token_ids)
        metrics.generation_tokens.inc(len(output.token_ids))
        if output.finish_reason is not None:
            self._finish(sample, output.finish_reason)

    def _begin(self, now: float, began: float) -> None:
        metrics = self._metrics
        self.first, self.began = now, began or now
        metrics.ttft.observe(now - self.arrival)
        metrics.queue.observe(max(0.0, self.began - self.arrival))
        metrics.prefill.observe(now - self.began)
        metrics.prompt_tokens.inc(self.num_prompt_tokens)
        metrics.prompt_lengths.observe(self.num_prompt_tokens)

    def _finish(self, sample: _Sample, reason: str) -> None:
        metrics = self._metrics
        self.reasons.append(reason)
        metrics.finished(reason)
        metrics.e2e.observe(sample.last - self.arrival)
        metrics.decode.observe(sample.last - sample.first)
        metrics.inference.observe(sample.last - self.began)
        metrics.output_lengths.observe(sample.num_tokens)
        if sample.num_tokens > 1:
            metrics.tpot.observe((sample.last - sample.first) / (sample.num_tokens - 1))
