"""Traces: one OpenTelemetry span per request, with GenAI attributes.

Names as in OpenTelemetry's semantic conventions for generative AI (in development there), and
vLLM's for what those do not have. Everything but the address is OTEL_*'s to say.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from inferd.errors import EnvironmentProblem
from inferd_server.caller import CALLER

if TYPE_CHECKING:
    from inferd_server.generation import Generation
    from inferd_server.timing import Timing


class Tracer:
    """Raises EnvironmentProblem where OpenTelemetry's SDK is not installed."""

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise EnvironmentProblem(
                "--otlp-traces-endpoint needs OpenTelemetry: pip install 'inferd[otel]'"
            ) from None
        resource = Resource.create({"service.name": "inferd"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("inferd")

    def record(self, generation: Generation, timing: Timing) -> None:
        """A request that has ended, however it did; the span belongs to its caller's trace."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        caller, now = CALLER.get(), time.time_ns()
        carrier = {"traceparent": caller.traceparent} if caller.traceparent else {}
        began = now - int((time.monotonic() - timing.arrival) * 1e9)
        span = self._tracer.start_span(
            f"{generation.operation} {generation.model}",
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
            start_time=began,
            attributes=_attributes(generation, timing),
        )
        span.end(now)

    def close(self, seconds: float) -> None:
        """Sends what has not been sent, as far as the time goes: nobody may answer there."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(seconds)


def _attributes(generation: Generation, timing: Timing) -> dict[str, Any]:
    params = generation.params
    asked = {
        "gen_ai.operation.name": generation.operation,
        "gen_ai.provider.name": "inferd",
        "gen_ai.request.model": generation.model,
        "gen_ai.response.model": generation.model,
        "gen_ai.response.id": generation.request_id,
        "gen_ai.request.id": CALLER.get().request_id,
        "gen_ai.conversation.id": CALLER.get().session_id,
        "gen_ai.request.max_tokens": params.max_tokens,
        "gen_ai.request.temperature": params.temperature,
        "gen_ai.request.top_p": params.top_p,
        "gen_ai.request.choice.count": params.n,
    }
    answered = {
        "gen_ai.usage.input_tokens": timing.num_prompt_tokens,
        "gen_ai.usage.output_tokens": timing.num_tokens,
        "gen_ai.response.finish_reasons": timing.reasons or ["abort"],
    }
    if timing.first:
        answered |= {
            "gen_ai.latency.time_in_queue": timing.began - timing.arrival,
            "gen_ai.latency.time_to_first_token": timing.first - timing.arrival,
            "gen_ai.latency.time_in_model_prefill": timing.first - timing.began,
            "gen_ai.latency.time_in_model_decode": timing.last - timing.first,
            "gen_ai.latency.e2e": timing.last - timing.arrival,
        }
    return {name: value for name, value in {**asked, **answered}.items() if value is not None}
