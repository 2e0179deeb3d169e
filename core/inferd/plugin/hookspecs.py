"""The table of contents of inferd: every kind of thing a plugin can add.

One verb, many nouns: each hook is called once per process, while the Host fills its Catalog, with a
Registry to add "module:attr" strings to. Nothing is imported by that, and nothing here runs on the
token path. Who loads a target, and when, stands in each hook's docstring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

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
    from inferd.plugin.registry import Registry

hookspec = pluggy.HookspecMarker("inferd")


# ---------------------------------------------------------------- hardware


@hookspec
def inferd_register_platforms(registry: Registry[Platform]) -> None:
    """Hardware, by name. Loaded first in every worker; the best that `detect`s is taken."""


@hookspec
def inferd_register_ops(registry: Registry[OpProvider]) -> None:
    """Kernels for layers, by provider name. Loaded by the worker before the model is built."""


@hookspec
def inferd_register_attention(registry: Registry[AttentionBackend]) -> None:
    """Attention backends, by name. Loaded by the worker once the model's shape is known."""


@hookspec
def inferd_register_executors(registry: Registry[Executor]) -> None:
    """Where workers live, by name. Loaded by the engine process at start."""


# ---------------------------------------------------------------- model


@hookspec
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Model families, by Hugging Face architecture name. Loaded by the worker at build."""


@hookspec
def inferd_register_loaders(registry: Registry[WeightLoader]) -> None:
    """Checkpoint formats, by load format. Loaded by the worker; the one that `matches` is taken."""


@hookspec
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    """Weight formats, by the checkpoint's quant_method. Loaded by the worker at build."""


# ---------------------------------------------------------------- memory and scheduling


@hookspec
def inferd_register_schedule_policies(registry: Registry[SchedulePolicy]) -> None:
    """Orders of waiting requests and choices of victims, by name. Loaded by the engine process."""


@hookspec
def inferd_register_kv_connectors(registry: Registry[Any]) -> None:
    """KV transfer and offload, by name. Nothing loads them in this version."""


# ---------------------------------------------------------------- sampling


@hookspec
def inferd_register_logits_processors(registry: Registry[LogitsProcessor]) -> None:
    """Device functions over logits, by name. Loaded by the worker when the sampler is built."""


@hookspec
def inferd_register_grammars(registry: Registry[GrammarBackend]) -> None:
    """Structured-output back ends, by name. The best is loaded with the first such request."""


@hookspec
def inferd_register_proposers(registry: Registry[Any]) -> None:
    """Speculative methods, by name. Nothing loads them in this version."""


# ---------------------------------------------------------------- surface


@hookspec
def inferd_register_commands(registry: Registry[Command]) -> None:
    """Words of the command line. Only the chosen word is loaded."""


@hookspec
def inferd_register_routes(registry: Registry[Any]) -> None:
    """HTTP routes, by name: `build(engine: AsyncEngine) -> APIRouter`. Loaded by the server."""


@hookspec
def inferd_register_tool_parsers(registry: Registry[OutputParser]) -> None:
    """Parsers of tool calls, by name. The best that supports the chat template is taken; loaded by
    each front end at start.
    """


@hookspec
def inferd_register_reasoning_parsers(registry: Registry[OutputParser]) -> None:
    """Parsers of reasoning, by name, chosen and loaded likewise."""


@hookspec
def inferd_register_stat_loggers(registry: Registry[StatLogger]) -> None:
    """Receivers of engine statistics, by name. Loaded by the server, called every 10 seconds."""
