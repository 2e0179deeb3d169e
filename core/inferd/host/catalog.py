"""Catalog: one typed Registry per kind, filled by walking the plugins' hooks one by one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

from inferd.plugin.registry import NameTaken, Registry

if TYPE_CHECKING:
    from inferd.contracts.attention import AttentionBackend
    from inferd.contracts.command import Command
    from inferd.contracts.executor import Executor
    from inferd.contracts.grammar import GrammarBackend
    from inferd.contracts.loader import WeightLoader
    from inferd.contracts.logits_processor import LogitsProcessor
    from inferd.contracts.model import CausalLM
    from inferd.contracts.ops import OpProvider
    from inferd.contracts.output_parser import OutputParser
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


class HookFailed(Exception):
    """A plugin's hook raised `reason`; the host decides whether the start goes on without it."""

    def __init__(self, plugin: str, reason: BaseException) -> None:
        super().__init__(plugin)
        self.plugin = plugin
        self.reason = reason


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
    grammars: Registry[GrammarBackend]
    proposers: Registry[Any]
    commands: Registry[Command]
    routes: Registry[Any]
    tool_parsers: Registry[OutputParser]
    reasoning_parsers: Registry[OutputParser]
    stat_loggers: Registry[StatLogger]

    def __init__(
        self, manager: pluggy.PluginManager, options_of: Callable[[str], object | None]
    ) -> None:
        """Raises HookFailed for a hook that raises, NameTaken when two plugins claim one name."""
        for kind, noun in KINDS.items():
            registry: Registry[Any] = Registry(noun)
            registry.options_of = options_of
            _fill(manager, f"inferd_register_{kind}", registry)
            setattr(self, kind, registry)

    def registry(self, kind: str) -> Registry[Any]:
        """By hook suffix, for listings."""
        registry: Registry[Any] = getattr(self, kind)
        return registry


def _fill(manager: pluggy.PluginManager, hook: str, registry: Registry[Any]) -> None:
    impls = getattr(manager.hook, hook).get_hookimpls()
    for impl in sorted(impls, key=lambda i: i.plugin_name):  # discovery order is the file system's
        registry.owner = impl.plugin_name
        try:
            impl.function(*[registry for _ in impl.argnames])
        except (KeyboardInterrupt, NameTaken):
            raise
        except BaseException as error:
            raise HookFailed(impl.plugin_name, error) from error
        if os.environ.get("INFERD_TRACE_PLUGINS") == "1":
            added = [entry.name for entry in registry if entry.plugin == impl.plugin_name]
            print(
                f"inferd: {hook} <- {impl.plugin_name}: {', '.join(added) or 'nothing'}",
                file=sys.stderr,
            )
