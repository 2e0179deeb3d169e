"""The engine's state as series, read at every scrape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inferd_server.shared import Row, Shared

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine


class EngineState(Collector):
    """Reads the engine's latest StepStats."""

    def __init__(self, engine: AsyncEngine, model_name: str, shared: Shared) -> None:
        self._engine = engine
        self._shared = shared
        self._model = model_name

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats
        use = stats.num_blocks_used / stats.num_blocks if stats.num_blocks else 0.0
        yield self._gauge("num_requests_running", "Sequences running.", stats.num_running)
        yield self._gauge("num_requests_waiting", "Sequences waiting.", stats.num_waiting)
        yield self._gauge("kv_cache_usage_perc", "KV blocks in use, 0 to 1.", use)
        unfinished = self._shared.total(Row.REQUESTS)
        yield self._gauge("num_requests_open", "Requests in flight.", unfinished)
        yield self._total("num_preemptions", "Preemptions.", stats.num_preemptions)
        yield self._total("prefix_cache_queries", "Prompt tokens looked up.", stats.prefix_queries)
        yield self._total("prefix_cache_hits", "Prompt tokens found.", stats.prefix_hits)
        yield self._total("iteration_tokens", "Tokens computed in steps.", stats.num_tokens)
        yield self._cache_config()

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"inferd_{name}", text, labels=["model_name"])
        family.add_metric([self._model], value)
        return family

    def _total(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"inferd_{name}", text, labels=["model_name"])
        family.add_metric([self._model], value)
        return family

    def _cache_config(self) -> Metric:
        """Empty while the model loads."""
        labels = ["model_name", "block_size", "num_gpu_blocks"]
        family = GaugeMetricFamily(
            "inferd_cache_config_info", "Size of the KV cache.", None, labels
        )
        if self._engine.alive:
            info = self._engine.info
            family.add_metric([self._model, str(info.block_size), str(info.num_blocks)], 1)
        return family
