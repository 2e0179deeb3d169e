"""Metrics: Prometheus series under `inferd_`, in a registry of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from inferd_server.engine_metrics import EngineState
from inferd_server.metrics_alias import Alias
from inferd_server.seat import ALONE, Seat

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine
    from inferd.params import SamplingParams

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TOKEN_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
LENGTH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5)
N_BUCKETS = (1, 2, 5, 10, 20, 50, 100)
LABELS = ["model_name"]


class Metrics:
    """Counters and histograms that requests feed; the engine's state is read when scraped.

    `alias` names every series a second time, with that prefix. Where there are several front ends,
    each tells the sum of all, those that have died included.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        model_name: str,
        alias: str | None = None,
        seat: Seat = ALONE,
    ) -> None:
        self.registry = CollectorRegistry()
        self._model = model_name
        self._home = None if seat.metrics else self.registry
        self._series: list[Any] = []
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of accepted requests.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self._success = Counter(
            "inferd_request_success",
            "Sequences that ended, by reason.",
            [*LABELS, "finished_reason"],
            registry=self._home,
        )
        self._series.append(self._success)
        self._make_latencies()
        lengths = LENGTH_BUCKETS
        self.prompt_lengths = self._histogram("request_prompt_tokens", "Per request.", lengths)
        self.output_lengths = self._histogram("request_generation_tokens", "Per sample.", lengths)
        self._max_tokens = self._histogram("request_params_max_tokens", "Asked for.", lengths)
        self._n = self._histogram("request_params_n", "Samples asked for.", N_BUCKETS)
        self._own = tuple(self._series)
        if seat.metrics:
            collect_all: Any = MultiProcessCollector  # which has no types
            self._series = [collect_all(self.registry, str(seat.metrics))]
        state = EngineState(engine, model_name, seat.shared)
        self.registry.register(state)
        if alias is not None:
            self.registry.register(Alias([*self._series, state], alias))

    def _make_latencies(self) -> None:
        def latency(name: str, text: str) -> Histogram:
            return self._histogram(name, text, LATENCY_BUCKETS)

        self.ttft = latency("time_to_first_token_seconds", "From arrival to the first token.")
        self.queue = latency("request_queue_time_seconds", "From arrival to the first step.")
        self.prefill = latency("request_prefill_time_seconds", "First step to first token.")
        self.decode = latency("request_decode_time_seconds", "First token to last, per sample.")
        self.inference = latency("request_inference_time_seconds", "First step to last token.")
        self.e2e = latency("e2e_request_latency_seconds", "From arrival to the last token.")
        self.itl = self._histogram(
            "inter_token_latency_seconds", "Between two outputs of a sequence.", TOKEN_BUCKETS
        )
        self.tpot = self._histogram(
            "request_time_per_output_token_seconds",
            "Mean time per output token after the first, per sequence.",
            TOKEN_BUCKETS,
        )

    def _counter(self, name: str, text: str) -> Counter:
        counter = Counter(f"inferd_{name}", text, LABELS, registry=self._home)
        self._series.append(counter)
        return counter.labels(self._model)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(f"inferd_{name}", text, LABELS, registry=self._home, buckets=buckets)
        self._series.append(made)
        return made.labels(self._model)

    def asked(self, params: SamplingParams) -> None:
        """A request goes to the engine."""
        self._n.observe(params.n)
        if params.max_tokens is not None:
            self._max_tokens.observe(params.max_tokens)

    def finished(self, reason: str) -> None:
        self._success.labels(self._model, reason).inc()

    def renew(self) -> None:
        """A number is an object, of the time when it changed last: put a new one in its place."""
        ones = [one for series in self._own for one in series._metrics.values()]
        kept = [
            value
            for one in ones
            for value in ([one._value] if isinstance(one, Counter) else [*one._buckets, one._sum])
        ]
        before = [value.get() for value in kept]  # or the next would be put where the last was
        for value in kept:
            value.inc(0)
        before.clear()

    def exposition(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)
