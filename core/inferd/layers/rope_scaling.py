"""How checkpoints stretch rotary embeddings beyond the length they were trained on.

The rules are those of transformers' modeling_rope_utils (the oracle of the tests); sources:
linear (kaiokendev), dynamic NTK (bloc97), llama3 (Llama 3.1 report), YaRN (arXiv:2309.00071),
LongRoPE (arXiv:2402.13753).

Shape suffixes: F frequencies, half the head size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from inferd.errors import UnsupportedModel
from inferd.layers.rope_config import Rope, positive

Frequencies = tuple[Tensor, float]  # inverse frequencies, and a factor on cos and sin


def frequencies(rope: Rope) -> Frequencies:
    """Raises UnsupportedModel for an unknown kind or a parameter that is missing."""
    if rope.kind not in MAKERS:
        raise UnsupportedModel(
            f"rope_type {rope.kind!r} is not supported; known: {', '.join(sorted(MAKERS))}"
        )
    return MAKERS[rope.kind](rope)


def _inv_freq(theta: float, size: int) -> Tensor:
    exponents_F = torch.arange(0, size, 2, dtype=torch.int64).float() / size
    return 1.0 / (theta**exponents_F)


def _default(rope: Rope) -> Frequencies:
    return _inv_freq(rope.theta, rope.size), 1.0


def _linear(rope: Rope) -> Frequencies:
    return _inv_freq(rope.theta, rope.size) / rope.number("factor"), 1.0


def _dynamic(rope: Rope) -> Frequencies:
    """NTK-aware for the whole served length, so that a token's KV never depends on what follows."""
    factor, theta = rope.number("factor"), rope.theta
    if rope.served > rope.trained:
        stretch = factor * rope.served / rope.trained - (factor - 1)
        theta *= stretch ** (rope.size / (rope.size - 2))
    return _inv_freq(theta, rope.size), 1.0


def _llama3(rope: Rope) -> Frequencies:
    inv_freq_F = _inv_freq(rope.theta, rope.size)
    factor = rope.number("factor")
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    wavelength_F = 2 * math.pi / inv_freq_F
    smooth_F = (rope.original / wavelength_F - low) / (high - low)
    mixed_F = (1 - smooth_F) * inv_freq_F / factor + smooth_F * inv_freq_F
    scaled_F = torch.where(wavelength_F > rope.original / low, inv_freq_F / factor, mixed_F)
    return torch.where(wavelength_F < rope.original / high, inv_freq_F, scaled_F), 1.0


def _yarn(rope: Rope) -> Frequencies:
    factor = rope.number("factor")

    def dimension(rotations: float) -> float:
        turns = math.log(rope.original / (rotations * 2 * math.pi))
        return rope.size * turns / (2 * math.log(rope.theta))

    low, high = dimension(rope.number("beta_fast", 32.0)), dimension(rope.number("beta_slow", 1.0))
    if rope.parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.size - 1)
    if low == high:
        high += 0.001  # a step instead of a ramp
    ramp_F = ((torch.arange(rope.size // 2).float() - low) / (high - low)).clamp(0, 1)
    inv_freq_F = _inv_freq(rope.theta, rope.size)
    blended_F = inv_freq_F / factor * ramp_F + inv_freq_F * (1 - ramp_F)
    return blended_F, _yarn_factor(rope, factor)


def _yarn_factor(rope: Rope, factor: float) -> float:
    def scale(m: float) -> float:
        return 0.1 * m * math.log(factor) + 1.0 if factor > 1 else 1.0

    found = rope.parameters
    if found.get("attention_factor") is not None:
        return rope.number("attention_factor")
    if found.get("mscale") and found.get("mscale_all_dim"):
        return scale(rope.number("mscale")) / scale(rope.number("mscale_all_dim"))
    return scale(1.0)


def _longrope(rope: Rope) -> Frequencies:
    """One set for the whole served length, as in `_dynamic`: long ones where it may exceed."""
    name = "long_factor" if rope.served > rope.original else "short_factor"
    stretch = rope.parameters.get(name)
    if not isinstance(stretch, list) or len(stretch) != rope.size // 2:
        raise UnsupportedModel(
            f"config.json: rope_type 'longrope' needs {name!r}, a list of {rope.size // 2} numbers"
        )
    stretch_F = torch.tensor([positive(name, value) for value in stretch], dtype=torch.float32)
    return _inv_freq(rope.theta, rope.size) / stretch_F, _longrope_factor(rope)


def _longrope_factor(rope: Rope) -> float:
    if rope.parameters.get("attention_factor") is not None:
        return rope.number("attention_factor")
    factor = rope.number("factor", rope.trained / rope.original)
    return math.sqrt(1 + math.log(factor) / math.log(rope.original)) if factor > 1 else 1.0


MAKERS: dict[str, Callable[[Rope], Frequencies]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "longrope": _longrope,
    "yarn": _yarn,
}
