"""Rotary position embedding: the table of cosines and sines of every position a model may see.

Shape suffixes: P positions, T tokens, E head size, F = E / 2 frequencies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers.layer import Layer
from inferd.layers.rope_scaling import Rope, frequencies


class Rotary(Layer):
    """Holds `cos_sin_PE` in float32: cos of the F frequencies, then their sines, per position.

    Raises UnsupportedModel for a scaling that is not known or not complete.
    """

    def __init__(self, head_dim: int, build: BuildContext) -> None:
        super().__init__()
        length = build.config.max_model_len
        rope = Rope.read(build.config.hf, head_dim, length)
        if rope.partial != 1.0:
            raise UnsupportedModel(
                f"partial_rotary_factor {rope.partial:g} is not supported: heads are rotated whole"
            )
        if head_dim % 2:
            raise UnsupportedModel(f"head_dim {head_dim} is odd: heads are rotated by halves")
        inv_freq_F, factor = frequencies(rope)
        positions_P = torch.arange(length, dtype=torch.float32)
        angles_PF = positions_P[:, None] * inv_freq_F[None, :]
        cos_sin_PE = torch.cat((angles_PF.cos(), angles_PF.sin()), dim=-1) * factor
        self.cos_sin_PE: Tensor = cos_sin_PE.to(build.device)
        self._dtype = build.config.dtype
        self._prepare = build.ops.prepare_rope

    def forward(self, positions_T: Tensor) -> Any:
        """The step's `Batch.rope`."""
        return self._prepare(positions_T, self.cos_sin_PE, self._dtype)
