"""inferd: an LLM inference and serving engine; a small core, everything else a plugin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# How often a thread of torch's looks for work before it sleeps; read when torch is imported. By
# itself it looks for milliseconds, and where another program has one of the cores, every operator
# waits for that program: a step of SmolLM2 on 2 busy cores takes seconds, with this 43 ms.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

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
