"""Registers the scripted executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.executor import Executor

INFERD_OPTIONS = "inferd_models_scripted.options:ScriptOptions"


@hookimpl
def inferd_register_executors(registry: Registry[Executor]) -> None:
    """One: there is no device and no model behind it."""
    registry.add(
        "scripted",
        "inferd_models_scripted.executor:ScriptedExecutor",
        summary="given tokens at a given speed, for tests",
    )
