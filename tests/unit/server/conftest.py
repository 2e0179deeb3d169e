"""Clients against the application in memory; no socket and no process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from asgi import client_of
from fake_engine import FakeEngine

from inferd_server.app import create_app
from inferd_server.keys import Key
from inferd_server.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def make_app(engine: FakeEngine) -> Callable[..., Any]:
    """`make_app(api_keys=...)`: a ready application with those settings."""

    def make(phase: str = "ready", api_keys: tuple[str, ...] = (), **settings: Any) -> Any:
        keys = tuple(map(Key.parse, api_keys))
        app = create_app(
            engine,  # type: ignore[arg-type]
            Settings(model="tiny", served_names=("tiny", "org/tiny"), keys=keys, **settings),
        )
        app.state.service.phase = phase
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., Any]) -> Any:
    return make_app()


@pytest.fixture
def client(app: Any) -> httpx.AsyncClient:
    return client_of(app)
