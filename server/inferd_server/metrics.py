"""Metrics: Prometheus series under `inferd_`, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TOKEN_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
LABELS = ["model_name"]


class Metrics:
    """Counters and histograms that requests feed; the engine's state is read when scraped."""

    def __init__(self, engine: AsyncEngine, model_name: str) -> None:
        self.registry = CollectorRegistry()
        self._model = model_name
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of accepted requests.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self._success = Counter(
            "inferd_request_success",
            "Sequences that ended, by reason.",
            [*LABELS, "finished_reason"],
            registry=self.registry,
        )
        self.ttft = self._histogram(
            "time_to_first_token_seconds", "From arrival to the first token.", LATENCY_BUCKETS
        )
        self.itl = self._histogram(
            "inter_token_latency_seconds", "Between two outputs of a sequence.", TOKEN_BUCKETS
        )
        self.tpot = self._histogram(
            "request_time_per_output_token_seconds",
            "Mean time per output token after the first, per sequence.",
            TOKEN_BUCKETS,
        )
        self.e2e = self._histogram(
            "e2e_request_latency_seconds", "From arrival to the last token.", LATENCY_BUCKETS
        )
        self.registry.register(_EngineState(engine, model_name))

    def _counter(self, name: str, text: str) -> Counter:
        counter = Counter(f"inferd_{name}", text, LABELS, registry=self.registry)
        return counter.labels(self._model)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(f"inferd_{name}", text, LABELS, registry=self.registry, buckets=buckets)
        return made.labels(self._model)

    def finished(self, reason: str) -> None:
        self._success.labels(self._model, reason).inc()

    def exposition(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)


class _EngineState(Collector):
    """Reads the engine's latest StepStats at every scrape."""

    def __init__(self, engine: AsyncEngine, model_name: str) -> None:
        self._engine = engine
        self._model = model_name

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats
        use = stats.num_blocks_used / stats.num_blocks if stats.num_blocks else 0.0
        yield self._gauge("num_requests_running", "Sequences running.", stats.num_running)
        yield self._gauge("num_requests_waiting", "Sequences waiting.", stats.num_waiting)
        yield self._gauge("kv_cache_usage_perc", "KV blocks in use, 0 to 1.", use)
        unfinished = self._engine.num_unfinished
        yield self._gauge("num_requests_open", "Requests of this front end in flight.", unfinished)
        yield self._total("num_preemptions", "Preemptions.", stats.num_preemptions)
        yield self._total("prefix_cache_queries", "Prompt tokens looked up.", stats.prefix_queries)
        yield self._total("prefix_cache_hits", "Prompt tokens found.", stats.prefix_hits)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"inferd_{name}", text, labels=LABELS)
        family.add_metric([self._model], value)
        return family

    def _total(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"inferd_{name}", text, labels=LABELS)
        family.add_metric([self._model], value)
        return family
