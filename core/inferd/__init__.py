"""inferd: an LLM inference and serving engine; a small core, everything else a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine
    from inferd.engine.llm import LLM
    from inferd.engine.outputs import CompletionOutput, RequestOutput
    from inferd.params import SamplingParams
from inferd.structured_outputs import StructuredOutputs

_LAZY = {
    "LLM": "inferd.engine.llm",
    "AsyncEngine": "inferd.engine.async_engine",
    "RequestOutput": "inferd.engine.outputs",
    "CompletionOutput": "inferd.engine.outputs",
    "SamplingParams": "inferd.params",
    "StructuredOutputs": "inferd.structured_outputs",
}
__all__ = [
    "LLM",
    "AsyncEngine",
    "CompletionOutput",
    "RequestOutput",
    "SamplingParams",
    "StructuredOutputs",
]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import inferd` stays instant."""
    if name not in _LAZY:
        raise AttributeError(f"module 'inferd' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
