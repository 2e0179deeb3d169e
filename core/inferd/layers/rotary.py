"""Rotary position embedding: the table of cosines and sines, with every scaling of the field.

The rules are those of transformers' modeling_rope_utils (the oracle of the tests); sources:
linear (kaiokendev), dynamic NTK (bloc97), llama3 (Llama 3.1 report), YaRN (arXiv:2309.00071).

Shape suffixes: P positions, E head size (rotated part), F = E / 2 frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel


def rope_parameters(hf: Mapping[str, Any]) -> dict[str, Any]:
    """One dictionary from either spelling: rope_parameters, or rope_theta with rope_scaling."""
    merged: dict[str, Any] = {"rope_theta": hf.get("rope_theta", 10000.0)}
    merged.update(hf.get("rope_scaling") or {})
    merged.update(hf.get("rope_parameters") or {})
    merged["rope_type"] = merged.get("rope_type", merged.get("type", "default"))
    merged.setdefault("partial_rotary_factor", hf.get("partial_rotary_factor", 1.0))
    return merged


class Rotary(nn.Module):
    """Holds `cos_sin_PE` in float32: cos of the F frequencies, then their sines, per position."""

    def __init__(self, head_dim: int, build: BuildContext) -> None:
        super().__init__()
        hf = build.config.hf
        rope = rope_parameters(hf)
        size = int(head_dim * float(rope["partial_rotary_factor"]))
        if size != head_dim:
            raise UnsupportedModel("partial_rotary_factor below 1 is not supported")
        length = build.config.max_model_len
        inv_freq_F, factor = _frequencies(rope, size, hf, length)
        positions_P = torch.arange(length, dtype=torch.float32)
        angles_PF = positions_P[:, None] * inv_freq_F[None, :]
        cos_sin_PE = torch.cat((angles_PF.cos(), angles_PF.sin()), dim=-1) * factor
        self.cos_sin_PE = cos_sin_PE.to(build.device)
        self._dtype = build.config.dtype
        self._prepare = build.ops.prepare_rope

    def forward(self, positions_T: Tensor) -> Any:
        """The step's `Batch.rope`."""
        return self._prepare(positions_T, self.cos_sin_PE, self._dtype)


def _frequencies(
    rope: Mapping[str, Any], size: int, hf: Mapping[str, Any], length: int
) -> tuple[Tensor, float]:
    """Inverse frequencies and the factor on cos and sin."""
    makers = {
        "default": _default,
        "linear": _linear,
        "dynamic": _dynamic,
        "llama3": _llama3,
        "yarn": _yarn,
    }
    kind = str(rope["rope_type"])
    if kind not in makers:
        raise UnsupportedModel(
            f"rope_type {kind!r} is not supported; known: {', '.join(sorted(makers))}"
        )
    return makers[kind](rope, size, hf, length)


def _inv_freq(theta: float, size: int) -> Tensor:
    exponents_F = torch.arange(0, size, 2, dtype=torch.int64).float() / size
    return 1.0 / (theta**exponents_F)


def _default(
    rope: Mapping[str, Any], size: int, _hf: Mapping[str, Any], _length: int
) -> tuple[Tensor, float]:
    return _inv_freq(float(rope["rope_theta"]), size), 1.0


def _linear(
    rope: Mapping[str, Any], size: int, hf: Mapping[str, Any], length: int
) -> tuple[Tensor, float]:
    inv_freq_F, factor = _default(rope, size, hf, length)
    return inv_freq_F / float(rope["factor"]), factor


def _dynamic(
    rope: Mapping[str, Any], size: int, hf: Mapping[str, Any], length: int
) -> tuple[Tensor, float]:
    """NTK-aware for the whole served length, so that a token's KV never depends on what follows."""
    original = int(hf["max_position_embeddings"])
    theta, factor = float(rope["rope_theta"]), float(rope["factor"])
    if length > original:
        stretch = factor * length / original - (factor - 1)
        theta *= stretch ** (size / (size - 2))
    return _inv_freq(theta, size), 1.0


def _llama3(
    rope: Mapping[str, Any], size: int, hf: Mapping[str, Any], length: int
) -> tuple[Tensor, float]:
    inv_freq_F, _ = _default(rope, size, hf, length)
    factor = float(rope["factor"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    original = float(rope["original_max_position_embeddings"])
    wavelength_F = 2 * math.pi / inv_freq_F
    smooth_F = (original / wavelength_F - low) / (high - low)
    mixed_F = (1 - smooth_F) * inv_freq_F / factor + smooth_F * inv_freq_F
    scaled_F = torch.where(wavelength_F > original / low, inv_freq_F / factor, mixed_F)
    return torch.where(wavelength_F < original / high, inv_freq_F, scaled_F), 1.0


def _yarn(
    rope: Mapping[str, Any], size: int, hf: Mapping[str, Any], _length: int
) -> tuple[Tensor, float]:
    theta, factor = float(rope["rope_theta"]), float(rope["factor"])
    original = int(rope.get("original_max_position_embeddings") or hf["max_position_embeddings"])
    attention_factor = rope.get("attention_factor")
    if attention_factor is None:
        attention_factor = _yarn_attention_factor(rope, factor)

    def dimension(rotations: float) -> float:
        return (size * math.log(original / (rotations * 2 * math.pi))) / (2 * math.log(theta))

    low = dimension(float(rope.get("beta_fast") or 32.0))
    high = dimension(float(rope.get("beta_slow") or 1.0))
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    if low == high:
        high += 0.001
    ramp_F = ((torch.arange(size // 2).float() - low) / (high - low)).clamp(0, 1)
    inv_freq_F = _inv_freq(theta, size)
    blended_F = inv_freq_F / factor * ramp_F + inv_freq_F * (1 - ramp_F)
    return blended_F, float(attention_factor)


def _yarn_attention_factor(rope: Mapping[str, Any], factor: float) -> float:
    def scale(by: float, m: float) -> float:
        return 0.1 * m * math.log(by) + 1.0 if by > 1 else 1.0

    mscale, all_dim = rope.get("mscale"), rope.get("mscale_all_dim")
    if mscale and all_dim:
        return scale(factor, float(mscale)) / scale(factor, float(all_dim))
    return scale(factor, 1.0)
