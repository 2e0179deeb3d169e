"""Layer: an nn.Module whose call is a call of `forward`."""

from __future__ import annotations

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

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)
