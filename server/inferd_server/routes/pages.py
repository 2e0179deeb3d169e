"""GET /, /dashboard and /pages/...: the pages. They answer while the model still loads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from inferd_server import pages
from inferd_server.service import Service


def build(service: Service) -> APIRouter:  # noqa: ARG001 - static
    router = APIRouter(include_in_schema=False)
    for path in pages.PATHS:
        router.add_api_route(path, _page(path), methods=["GET"])
    return router


def _page(path: str) -> Callable[[], Awaitable[Response]]:
    content, kind = pages.read(path)

    async def page() -> Response:
        return Response(content, media_type=kind, headers=pages.HEADERS)

    return page
