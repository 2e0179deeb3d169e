"""Service: the one object that routes share. Made by `create_app`, driven by `lifecycle`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from inferd.engine.template_gate import TemplateGate
from inferd_server.errors import ApiError
from inferd_server.kept_responses import KeptResponses
from inferd_server.metrics import Metrics
from inferd_server.response_store import MAX_BYTES, MAX_RESPONSES, ResponseStore
from inferd_server.seat import Seat
from inferd_server.shared import Row
from inferd_server.tracing import Tracer

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine
    from inferd.loading.tokenizer import Tokenizer
    from inferd_server.settings import Settings

STALL_S = 9.0  # told of within ten; the longest steps of a busy CPU take some seconds
Phase = Literal["loading", "ready", "draining", "dead"]

NOT_SERVING: dict[Phase, str] = {
    "loading": "the model is still loading; try again when GET /ready answers 200",
    "draining": "the server is shutting down and takes no new requests",
    "dead": "the engine process died; the server is going down",
}


class Service:
    """The engine, the settings, and what phase of its life the server is in."""

    def __init__(self, engine: AsyncEngine, settings: Settings, seat: Seat) -> None:
        self.engine = engine
        self.settings = settings
        self.seat = seat
        self.metrics = Metrics(engine, settings.served_names[0], settings.metrics_alias, seat)
        self.tracer = Tracer(settings.traces_endpoint) if settings.traces_endpoint else None
        self.client_templates = TemplateGate() if settings.client_chat_templates else None
        self.responses = ResponseStore(MAX_RESPONSES // seat.count, MAX_BYTES // seat.count)
        self.kept_responses = KeptResponses(self.responses, seat)
        self.phase: Phase = "loading"
        self.created = int(time.time())

    @property
    def num_open(self) -> int:
        """Replies being produced by this front end; what a drain waits for."""
        return self.seat.shared.mine(Row.REPLIES)

    def count_open(self, change: int) -> None:
        """A reply begins (1) or has ended (-1)."""
        self.seat.shared.add(Row.REPLIES, change)

    @property
    def num_requests(self) -> int:
        """Of all front ends, that the engine has."""
        return self.seat.shared.total(Row.REQUESTS)

    @property
    def max_model_len(self) -> int | None:
        """Tokens of context; before the model is loaded only what the operator asked for."""
        if self.phase == "loading":
            return self.engine.config.model.max_model_len
        return self.engine.info.max_model_len

    @property
    def context(self) -> int:
        """Tokens of context of the loaded model."""
        return self.engine.info.max_model_len

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises ApiError (400) when the engine runs without one."""
        if self.engine.tokenizer is None:
            raise ApiError(
                400,
                "this server runs with --skip-tokenizer-init: send the prompt as token ids",
                code="no_tokenizer",
            )
        return self.engine.tokenizer

    def check_ready(self) -> None:
        """Raises ApiError (503) unless requests are served."""
        if self.phase == "ready":
            return
        headers = {"Retry-After": "1"}
        if self.phase != "loading":
            headers["Connection"] = "close"
        code = "draining" if self.phase == "draining" else "engine_unavailable"
        raise ApiError(503, NOT_SERVING[self.phase], code=code, headers=headers)

    def check_progress(self) -> None:
        """Raises ApiError (503) when requests wait for an engine that makes no steps."""
        silent_s = self.engine.silent_s
        if silent_s > STALL_S:
            text = f"the engine has ended no step for {silent_s:.0f} s"
            raise ApiError(503, text, code="engine_unavailable", headers={"Retry-After": "1"})

    def check_model(self, name: str) -> None:
        """Raises ApiError (404) for a name that is not served."""
        if name not in self.settings.served_names:
            raise ApiError(
                404,
                f"this server has no model {name[:64]!r}; "
                f"it serves {', '.join(self.settings.served_names)}",
                code="model_not_found",
                param="model",
            )
