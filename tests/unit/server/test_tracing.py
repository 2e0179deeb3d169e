"""Traces, as a collector receives them."""

from __future__ import annotations

import http.server
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgi import client_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.anyio
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "n": 2, "max_tokens": 3}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: queue.Queue[Any] = queue.Queue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            raise AssertionError("compressed, though nobody asked for it")
        self.server.received.put(ExportTraceServiceRequest.FromString(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind)


async def test_a_request_is_a_span_of_its_callers_trace(make_app: Any, collector: Any) -> None:
    app = make_app(traces_endpoint=f"http://127.0.0.1:{collector.server_port}/v1/traces")
    async with client_of(app) as client:
        headers = {"traceparent": PARENT, "x-request-id": "r1", "x-session-id": "s1"}
        reply = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert reply.status_code == 200
    app.state.service.tracer.close(10)
    (resource,) = collector.received.get(timeout=10).resource_spans
    (span,) = resource.scope_spans[0].spans
    assert span.name == "chat tiny"
    assert span.trace_id.hex() == PARENT.split("-")[1]
    assert span.parent_span_id.hex() == PARENT.split("-")[2]
    assert span.end_time_unix_nano > span.start_time_unix_nano
    found = {each.key: value_of(each.value) for each in span.attributes}
    assert found["gen_ai.request.id"] == "r1"
    assert found["gen_ai.conversation.id"] == "s1"
    assert found["gen_ai.response.id"] == reply.json()["id"]
    assert found["gen_ai.request.max_tokens"] == 3
    assert found["gen_ai.request.choice.count"] == 2
    assert found["gen_ai.usage.input_tokens"] == len("<user>hi<assistant>")
    assert found["gen_ai.usage.output_tokens"] == 6
    assert found["gen_ai.response.finish_reasons"] == ["length", "length"]
    latencies = [name for name in found if name.startswith("gen_ai.latency.")]
    assert len(latencies) == 5
    assert all(found[name] >= 0 for name in latencies)
    assert "hi" not in str(found.values())
