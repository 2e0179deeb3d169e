"""Routes and stat loggers of plugins."""

from __future__ import annotations

import threading

import pytest
from asgi import client_of
from fake_engine import FakeEngine
from fastapi import APIRouter

from inferd.config.engine import EngineConfig
from inferd.contracts.stat_logger import StatLogger
from inferd.engine.surface import Surface
from inferd.errors import PluginError
from inferd.types import StepStats
from inferd_server.app import create_app
from inferd_server.keys import Key
from inferd_server.recording import recording
from inferd_server.settings import Settings

PLUGIN = """
from types import SimpleNamespace

def build(engine):
    return SimpleNamespace(engine=engine)

class Logger:
    name = "lines"

@hookimpl
def inferd_register_routes(registry):
    registry.add("hello", __name__ + ":build")

@hookimpl
def inferd_register_stat_loggers(registry):
    registry.add("lines", __name__ + ":Logger")
"""


def surface(plugins: str = "none,extra") -> Surface:
    """Without the plugins that are installed beside the tests, some of which have routes."""
    return Surface(EngineConfig.of("tiny", plugins=plugins))


def test_the_selected_plugins_are_made_with_the_engine(plugins):
    plugins.add("extra", PLUGIN)
    (router,) = surface().routers("the engine")
    assert router.engine == "the engine"
    assert [logger.name for logger in surface().stat_loggers()] == ["lines"]
    assert surface("none").routers("the engine") == []
    assert surface("none").stat_loggers() == []


def test_one_that_cannot_be_loaded_stops_the_start(plugins):
    plugins.register("extra", "routes", '"hello", "no_such_module:build"')
    with pytest.raises(PluginError, match="'extra' registers 'hello'"):
        surface().routers("the engine")


@pytest.mark.anyio
async def test_a_route_answers_behind_the_same_layers(engine: FakeEngine):
    router = APIRouter()

    @router.get("/hello")
    async def hello() -> dict[str, int]:
        return {"running": engine.stats.num_running}

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "stolen"}

    app = create_app(engine, Settings(keys=(Key.parse("secret"),)), [router])
    async with client_of(app) as client:
        refused = await client.get("/hello")
        found = await client.get("/hello", headers={"Authorization": "Bearer secret"})
        own = await client.get("/health")
    assert refused.status_code == 401
    assert found.json() == {"running": 3}
    assert own.json() == {"status": "ok"}  # inferd's own routes come first


class Memory(StatLogger):
    """Keeps what it is given; `raises` at the second record."""

    name = "memory"

    def __init__(self, raises: bool = False) -> None:
        self.seen: list[StepStats] = []
        self.threads: set[threading.Thread] = set()
        self.enough, self.closed = threading.Event(), False
        self._raises = raises

    def record(self, stats: StepStats) -> None:
        self.seen.append(stats)
        self.threads.add(threading.current_thread())
        if len(self.seen) == 2:
            self.enough.set()
            if self._raises:
                raise OSError("disk full")

    def close(self) -> None:
        self.closed = True


def test_loggers_are_called_in_their_own_threads_and_closed():
    loggers, now = [Memory(), Memory()], StepStats(num_running=4)
    with recording(loggers, lambda: now, pytest.fail, interval=0.001):
        assert all(logger.enough.wait(10) for logger in loggers)
    assert all(logger.closed for logger in loggers)
    assert all(stats is now for logger in loggers for stats in logger.seen)
    threads = set.union(*(logger.threads for logger in loggers))
    assert len(threads) == 2
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_one_that_raises_is_dropped_and_the_other_goes_on():
    bad, good, warnings = Memory(raises=True), Memory(), []
    with recording([bad, good], StepStats, warnings.append, interval=0.001):
        assert bad.enough.wait(10)
        count = len(good.seen)
        while len(good.seen) < count + 3:
            threading.Event().wait(0.001)
    assert len(bad.seen) == 2
    assert warnings == ["stat logger 'memory' is dropped: OSError: disk full"]
    assert good.closed
