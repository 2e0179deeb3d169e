"""The application: routes, layers and error shapes around one engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI

from inferd import __version__
from inferd_server import documented, errors
from inferd_server.middleware.auth import Auth
from inferd_server.middleware.catch import Catch
from inferd_server.middleware.hosts import Hosts
from inferd_server.middleware.in_flight import InFlight
from inferd_server.middleware.key_limits import KeyLimits
from inferd_server.middleware.limits import Limits
from inferd_server.middleware.reply_head import ReplyHead
from inferd_server.notes import Notes
from inferd_server.routes import (
    chat,
    completions,
    docs,
    embeddings,
    messages,
    models,
    pages,
    render,
    responses,
    state,
    tokens,
)
from inferd_server.seat import Seat
from inferd_server.service import Service
from inferd_server.settings import ANY
from inferd_server.shared import Shared

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine
    from inferd_server.settings import Settings

ROUTES = (
    chat,
    completions,
    responses,
    messages,
    embeddings,
    models,
    tokens,
    render,
    state,
    docs,
    pages,
)


def create_app(
    engine: AsyncEngine,
    settings: Settings,
    routers: Sequence[APIRouter] = (),
    seat: Seat | None = None,
) -> FastAPI:
    """An ASGI application; `app.state.service.phase` says whether it serves.

    `routers` come from plugins, after inferd's own routes and behind the same layers. `seat` is its
    place among several front ends; without it there is this one.
    """
    app = FastAPI(
        title="inferd",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=documented.ERRORS,
    )
    seat = seat or Seat(shared=Shared(len(settings.keys)))
    service = Service(engine, settings, seat)
    app.state.service = service
    for noun in ROUTES:
        app.include_router(noun.build(service))
    for router in routers:
        app.include_router(router)
    errors.install(app)
    documented.install(app)
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes)
    if settings.keys:
        app.add_middleware(KeyLimits, settings=settings, shared=seat.shared)
        app.add_middleware(Auth, keys=settings.keys)
    if ANY not in settings.allowed_hosts:
        app.add_middleware(Hosts, allowed=settings.allowed_hosts)
    app.add_middleware(InFlight, service=service)
    app.add_middleware(Catch)
    app.add_middleware(ReplyHead, notes=Notes())
    return app
