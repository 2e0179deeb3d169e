"""Rotary position embedding: the table of cosines and sines of every position a model may see.

Shape suffixes: P positions, T tokens, E head size, F = E / 2 frequencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers.layer import Layer
from inferd.layers.rope_config import Rope
from inferd.layers.rope_scaling import frequencies


class Rotary(Layer):
    """Holds `cos_sin_PE` in float32: cos of the F frequencies, then their sines, per position.

    With `rotated`, only so many elements of a head turn; the others have an angle of zero (the
    heads are in the order of `head_order`). Raises UnsupportedModel for a scaling that is not known
    or not complete, and for a partial_rotary_factor that the family does not speak of.
    """

    def __init__(
        self,
        head_dim: int,
        build: BuildContext,
        *,
        rotated: int | None = None,
        hf: Mapping[str, Any] | None = None,
        theta: float = 10000.0,
    ) -> None:
        """`hf` has what is said of this rotation, where a model has several.

        `theta` is taken where none is said.
        """
        super().__init__()
        length = build.config.max_model_len
        said = build.config.hf if hf is None else hf
        rope = Rope.read(said, head_dim, length, rotated, theta)
        if rotated is None and rope.partial != 1.0:
            raise UnsupportedModel(
                f"partial_rotary_factor {rope.partial:g} is not supported: heads are rotated whole"
            )
        if head_dim % 2:
            raise UnsupportedModel(f"head_dim {head_dim} is odd: heads are rotated by halves")
        inv_freq_F, factor = frequencies(rope)
        positions_P = torch.arange(length, dtype=torch.float32)
        angles_PF = positions_P[:, None] * inv_freq_F[None, :]
        still = head_dim // 2 - len(inv_freq_F)
        cos_PF = F.pad(angles_PF.cos() * factor, (0, still), value=1.0)
        sin_PF = F.pad(angles_PF.sin() * factor, (0, still))
        self.cos_sin_PE: Tensor = torch.cat((cos_PF, sin_PF), dim=-1).to(build.device)
        self._dtype = build.config.dtype
        self._prepare = build.ops.prepare_rope

    def forward(self, positions_T: Tensor) -> Any:
        """The step's `Batch.rope`."""
        return self._prepare(positions_T, self.cos_sin_PE, self._dtype)


class AngleRotary(Rotary):
    """For ops that take the angles of a step as they are."""

    def forward(self, positions_T: Tensor) -> Tensor:
        """The step's `Batch.rope`: cos, then sin, [T, E] in float32."""
        return self.cos_sin_PE.index_select(0, positions_T)


class NoRotary(Layer):
    """For layers that do not rotate: every position has an angle of zero."""

    def __init__(self, head_dim: int, build: BuildContext) -> None:
        super().__init__()
        if head_dim % 2:
            raise UnsupportedModel(f"head_dim {head_dim} is odd: ops take heads by halves")
        one_1F = torch.ones(1, head_dim // 2)
        self.cos_sin_1E: Tensor = torch.cat((one_1F, one_1F * 0), dim=-1).to(build.device)
        self._dtype = build.config.dtype
        self._prepare = build.ops.prepare_rope

    def forward(self, positions_T: Tensor) -> Any:
        """The step's `Batch.rope`."""
        return self._prepare(torch.zeros_like(positions_T), self.cos_sin_1E, self._dtype)
