"""Checks of linears by weight format, against the format's own `dequantize` in float64.

Shape suffixes as in inferd.contracts.weight_formats; T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inferd.contracts.lookup_format import LOOKUP_BITS
from inferd.contracts.scaled_formats import ScaledWeight
from inferd.contracts.weight_formats import GROUPED_BITS, MINIMUM_BITS, Weight
from inferd.testing import reference
from inferd.testing.numbers import DTYPES, check_rounded
from inferd.testing.packed_weights import draw_grouped, draw_lookup, draw_minimum, draw_scaled

TOKENS = (1, 7, 16, 40, 70)
WIDER = 16  # inputs of a tensor that x is a part of
PACKED = (
    *(f"w{bits}_g" for bits in GROUPED_BITS),
    *(f"w{bits}_m" for bits in MINIMUM_BITS),
    *(f"w{bits}_lut" for bits in LOOKUP_BITS),
)
SCALED = ("fp8_row", "fp8_block", "int8_row")
SCALED_SHAPES = ((1, 128), (130, 128), (67, 384), (150, 332))  # N, K


class Drawn(NamedTuple):
    """A weight to draw: its shape, and what else it has."""

    shape: tuple[int, int, int]  # N, K, group
    zeros: bool = False
    order: bool = False  # act-order
    dtype: torch.dtype = torch.float16  # of scales
    bias: bool = False


# Kernels are compiled for each size of a group, type of scales, and bias or none: that takes longer
# than all products. So each of these is met once, and codes that kernels store alike share them.
_NARROW = (
    Drawn((1, 128, 128)),
    Drawn((130, 256, 128), order=True, bias=True),
    Drawn((67, 96, 32), zeros=True, dtype=torch.bfloat16, bias=True),
)
_BYTES = (  # codes of 8 bits
    Drawn((130, 192, 192), bias=True),
    Drawn((67, 160, 80), zeros=True, dtype=torch.bfloat16),
)
_MINIMA = {
    4: (Drawn((67, 160, 80), bias=True), Drawn((48, 96, 32), dtype=torch.float32)),
    8: (Drawn((67, 160, 80), dtype=torch.float32, bias=True),),
}
_TABLES = (Drawn((130, 96, 96), bias=True), Drawn((1, 32, 32)), Drawn((67, 160, 160)))


def to_device(weight: Weight, device: torch.device) -> Weight:
    """On a device, in memory of its own."""
    placed: Weight = _placed(weight, device)
    return placed


def _placed(value: Any, device: torch.device) -> Any:
    """Tensors, and those in a dataclass."""
    if isinstance(value, Tensor):
        return value.clone().to(device)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {field.name: _placed(getattr(value, field.name), device) for field in fields(value)}
    return replace(value, **parts)


def grouped_linear(ops: Mapping[str, Any], dtype: str, device: torch.device) -> None:
    """Zero points, minima or none, act-order or none, scales of any type, with and without a bias.

    x is a part of a wider tensor where the tokens are odd in number.
    """
    for weight, drawn in _weights(ops.get("linear", {})):
        dense_NK = weight.dequantize(torch.float64)
        bias_N = _draw(1, dtype, weight.shape[0]) if drawn.bias else None
        placed = None if bias_N is None else bias_N.clone().to(device)
        apply = ops["linear"][weight.format](to_device(weight, device), placed)
        for tokens in TOKENS:
            inputs, more = weight.shape[1], WIDER * (tokens % 2)
            x_TK = _draw(tokens, dtype, tokens, inputs + more).to(device)[:, :inputs]
            expected_TN = reference.linear(x_TK.cpu(), dense_NK, bias_N)
            case = f"{weight.format}, {drawn}, {tokens} tokens"
            check_rounded(case, apply(x_TK), expected_TN, dtype)


def scaled_linear(ops: Mapping[str, Any], dtype: str, device: torch.device) -> None:
    """Held to x as it is, or to x rounded as the weight says, whichever is nearer.

    With scales of inputs that are fixed, and blocks that were joined where no block ends.
    """
    for number, (what, weight) in enumerate(_scaled(ops.get("linear", {}))):
        dense_NK = weight.dequantize(torch.float64)
        bias_N = _draw(1, dtype, weight.shape[0]) if number % 2 else None
        placed = None if bias_N is None else bias_N.clone().to(device)
        apply = ops["linear"][weight.format](to_device(weight, device), placed)
        for tokens in (1, 7, 40):
            inputs, more = weight.shape[1], 8 * (tokens % 2)
            x_TK = _draw(tokens, dtype, tokens, inputs + more).to(device)[:, :inputs]
            found_TN = apply(x_TK)
            rounded_TK = weight.inputs.round(x_TK.cpu()).dequantize(torch.float64)
            expected_TN = min(
                (reference.linear(x, dense_NK, bias_N) for x in (x_TK.cpu(), rounded_TK)),
                key=lambda expected: float((found_TN.cpu() - expected).norm()),
            )
            case = f"{what}, {tokens} tokens, bias {bias_N is not None}"
            check_rounded(case, found_TN, expected_TN, dtype)


def _scaled(offered: Mapping[str, Any]) -> Iterator[tuple[str, ScaledWeight]]:
    for name in SCALED:
        if name not in offered:
            continue
        for place, shape in enumerate(SCALED_SHAPES):
            scale = 4 / 448 if place % 2 and name == "fp8_row" else None
            weight = draw_scaled(place, name, shape, scale=scale)
            if place == 2:
                weight = weight.joined([draw_scaled(9, name, (8, shape[1]))])
            yield f"{name} {list(weight.shape)}, scale of inputs {scale}", weight


def _weights(offered: Mapping[str, Any]) -> Iterator[tuple[Weight, Drawn]]:
    for bits in GROUPED_BITS:
        for place, drawn in enumerate(_NARROW if bits < 8 else _BYTES):
            shape, zeros, order, dtype, _ = drawn
            if f"w{bits}_g" in offered:
                weight = draw_grouped(place, bits, shape, zeros=zeros, order=order, dtype=dtype)
                yield weight, drawn
    for bits in MINIMUM_BITS:
        for place, drawn in enumerate(_MINIMA[bits]):
            if f"w{bits}_m" in offered:
                yield draw_minimum(place, bits, drawn.shape, drawn.dtype), drawn
    for bits in LOOKUP_BITS:
        for place, drawn in enumerate(_TABLES):
            if f"w{bits}_lut" in offered:
                yield draw_lookup(place, bits, *drawn.shape[:2]), drawn


def _draw(seed: int, dtype: str, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[dtype])
