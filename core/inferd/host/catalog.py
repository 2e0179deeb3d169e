"""Catalog: one typed Registry per kind, filled by walking the plugins' hooks one by one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pluggy

from inferd.plugin.registry import Registry

if TYPE_CHECKING:
    from inferd.contracts.attention import AttentionBackend
    from inferd.contracts.command import Command
    from inferd.contracts.executor import Executor
    from inferd.contracts.loader import WeightLoader
    from inferd.contracts.logits_processor import LogitsProcessor
    from inferd.contracts.model import CausalLM
    from inferd.contracts.ops import OpProvider
    from inferd.contracts.platform import Platform
    from inferd.contracts.policy import SchedulePolicy
    from inferd.contracts.quantization import QuantizationMethod
    from inferd.contracts.stat_logger import StatLogger

KINDS: dict[str, str] = {  # hook suffix -> what one entry is called in messages
    "platforms": "platform",
    "ops": "op provider",
    "attention": "attention backend",
    "executors": "executor",
    "models": "model architecture",
    "loaders": "load format",
    "quantization": "quantization method",
    "schedule_policies": "schedule policy",
    "kv_connectors": "KV connector",
    "logits_processors": "logits processor",
    "grammars": "grammar back end",
    "proposers": "proposer",
    "commands": "command",
    "routes": "route",
    "tool_parsers": "tool parser",
    "reasoning_parsers": "reasoning parser",
    "stat_loggers": "stat logger",
}


class Catalog:
    """Everything the selected plugins offer, by kind."""

    platforms: Registry[Platform]
    ops: Registry[OpProvider]
    attention: Registry[AttentionBackend]
    executors: Registry[Executor]
    models: Registry[CausalLM]
    loaders: Registry[WeightLoader]
    quantization: Registry[QuantizationMethod]
    schedule_policies: Registry[SchedulePolicy]
    kv_connectors: Registry[Any]
    logits_processors: Registry[LogitsProcessor]
    grammars: Registry[Any]
    proposers: Registry[Any]
    commands: Registry[Command]
    routes: Registry[Any]
    tool_parsers: Registry[Any]
    reasoning_parsers: Registry[Any]
    stat_loggers: Registry[StatLogger]

    def __init__(self, manager: pluggy.PluginManager) -> None:
        trace = os.environ.get("INFERD_TRACE_PLUGINS") == "1"
        for kind, noun in KINDS.items():
            setattr(self, kind, _fill(manager, kind, Registry(noun), trace))

    def registry(self, kind: str) -> Registry[Any]:
        """By hook suffix, for listings."""
        registry: Registry[Any] = getattr(self, kind)
        return registry


def _fill(
    manager: pluggy.PluginManager, kind: str, registry: Registry[Any], trace: bool
) -> Registry[Any]:
    hook = f"inferd_register_{kind}"
    impls = getattr(manager.hook, hook).get_hookimpls()
    for impl in sorted(impls, key=lambda i: i.plugin_name):  # discovery order is the file system's
        before = set(registry.names)
        registry.owner = impl.plugin_name
        impl.function(*[registry for _ in impl.argnames])
        if trace:
            added = ", ".join(sorted(set(registry.names) - before)) or "nothing new"
            print(f"inferd: {hook} <- {impl.plugin_name}: {added}", file=sys.stderr)
    return registry
