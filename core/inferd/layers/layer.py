"""Layer: an nn.Module whose call is a call of `forward`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from inferd.contracts.quantization import Drawn


class Layer(nn.Module):
    """Without hooks, which cost more than some layers do.

    SmolLM2, one token: 0.4 ms of a step's 13.5 (336 calls; 2 cores of an EPYC, 2026-11-25).
    """

    num_bytes: int | None = None
    """Of its weights once they are finished; None: those of the values that it was given, in the
    model's dtype."""

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:  # noqa: ARG002
        """As LinearMethod has it."""
        return None

    def fuse(self, fused: Mapping[str, Callable[..., Any]]) -> None:
        """Take those of the ops that it calls: they make what its only reader wants."""

    def fed_by(self, layer: Layer) -> None:
        """`layer` makes all that this one reads, and nothing else reads it."""

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)
