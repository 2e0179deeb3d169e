"""What plugins add to a front end: HTTP routes and receivers of statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferd.host.host import Host

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.contracts.stat_logger import StatLogger
    from inferd.engine.async_engine import AsyncEngine


class Surface:
    """Made once per front end, from the plugins that the configuration selects."""

    def __init__(self, config: EngineConfig) -> None:
        self._catalog = Host.of(config.plugins).catalog

    def routers(self, engine: AsyncEngine) -> list[Any]:
        """An APIRouter per entry of `routes`; raises PluginError for one that cannot be loaded."""
        registry = self._catalog.routes
        return [registry.make(registry.load(name), engine) for name in registry.names]

    def stat_loggers(self) -> list[StatLogger]:
        """One per entry of `stat_loggers`; raises PluginError as `routers` does."""
        registry = self._catalog.stat_loggers
        return [registry.make(registry.load(name)) for name in registry.names]
