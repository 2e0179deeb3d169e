"""GET /health, /ready, /load, /version and /metrics. None of them waits for the engine."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from inferd import __version__
from inferd_server.json_response import json_response
from inferd_server.metrics import CONTENT_TYPE
from inferd_server.service import Service


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/health")
    async def health() -> Response:
        """200 while the process answers, whatever it is doing."""
        return json_response({"status": "ok"})

    @router.get("/ready")
    async def ready() -> Response:
        """200 while requests are served; 503 while loading, draining, without progress for ten
        seconds, or after a crash.
        """
        service.check_ready()
        service.check_progress()
        return json_response({"status": "ready"})

    @router.get("/load")
    async def load() -> Response:
        """Requests of this server in flight."""
        return json_response({"server_load": service.num_requests})

    @router.get("/version")
    async def version() -> Response:
        return json_response({"version": __version__})

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text format."""
        return Response(service.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    return router
