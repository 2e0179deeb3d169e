"""Checks of linears by weight format, against the format's own `dequantize` in float64.

Shape suffixes as in inferd.contracts.weight_formats; T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.bit_strings import pack_bits
from inferd.contracts.lookup_format import LOOKUP_BITS, LookupWeight, Outliers
from inferd.contracts.scaled_formats import BLOCK, E4M3, InputFormat, ScaledWeight
from inferd.contracts.weight_formats import (
    GROUPED_BITS,
    MINIMUM_BITS,
    GroupedWeight,
    MinimumWeight,
    Weight,
)
from inferd.testing import reference
from inferd.testing.numbers import DTYPES, check_rounded

TOKENS = (1, 7, 16, 40, 130)
SCALED = ("fp8_row", "fp8_block", "int8_row")
SCALED_SHAPES = ((1, 128), (130, 128), (67, 384), (40, 320))  # N, K
SHAPES = ((1, 32, 32), (32, 96, 32), (130, 256, 128), (67, 192, 192), (48, 160, 80))  # N, K, group


def draw_grouped(
    seed: int,
    bits: int,
    shape: tuple[int, int, int],
    *,
    zeros: bool = True,
    order: bool = False,
    dtype: torch.dtype = torch.float16,
) -> GroupedWeight:
    """A random weight [N, K] in groups of the last of `shape`."""
    rows, columns, size = shape
    generator = torch.Generator().manual_seed(seed)
    codes_NK, zeros_NG = (
        torch.randint(2**bits, (rows, width), generator=generator, dtype=torch.uint8)
        for width in (columns, columns // size)
    )
    scales_NG = torch.rand(rows, columns // size, generator=generator) + 0.5
    return GroupedWeight(
        bits,
        pack_bits(codes_NK, bits),
        (scales_NG / 2**bits / columns**0.5).to(dtype),
        zeros_NG if zeros else None,
        torch.randperm(columns, generator=generator) if order else None,
    )


def draw_minimum(
    seed: int, bits: int, shape: tuple[int, int, int], dtype: torch.dtype = torch.float16
) -> MinimumWeight:
    """A random weight [N, K] in groups of the last of `shape`."""
    grouped = draw_grouped(seed, bits, shape, dtype=dtype)
    minima_NG = -grouped.scales_NG * grouped.zeros()
    return MinimumWeight(bits, grouped.packed_NB, grouped.scales_NG, minima_NG.to(dtype))


def draw_scaled(
    seed: int, name: str, shape: tuple[int, int], *, scale: float | None = None
) -> ScaledWeight:
    """A random weight [N, K] of the format `name`; `scale` is that of inputs, where it is fixed."""
    rows, columns = shape
    generator = torch.Generator().manual_seed(seed)
    blocks = name == "fp8_block"
    places = (-(-rows // BLOCK), -(-columns // BLOCK)) if blocks else (rows, 1)
    values_NK, sizes_RG = (
        torch.randn(rows, columns, generator=generator) / 4,
        torch.rand(places, generator=generator) + 0.5,
    )
    dtype = torch.int8 if name == "int8_row" else E4M3
    values_NK = (values_NK * 127).clamp(-127, 127).to(dtype)
    inputs = InputFormat(dtype, BLOCK if blocks else None, scale)
    return ScaledWeight(values_NK, sizes_RG / 32 / columns**0.5, inputs, BLOCK if blocks else 1)


def draw_lookup(seed: int, bits: int, rows: int, columns: int) -> LookupWeight:
    """A random weight [N, K] with an outlier in every 50 values and more in row 0."""
    generator = torch.Generator().manual_seed(seed)
    codes_NK = torch.randint(2**bits, (rows, columns), generator=generator, dtype=torch.uint8)
    table_NL = torch.randn(rows, 2**bits, generator=generator) / columns**0.5
    places_NK = torch.rand(rows, columns, generator=generator) < 1 / 50
    places_NK[0, ::2] = True
    rows_E, columns_E = places_NK.nonzero().unbind(1)
    values_E = torch.randn(len(rows_E), generator=generator)
    outliers = Outliers.of(rows_E, columns_E, values_E, rows)
    return LookupWeight(bits, pack_bits(codes_NK, bits), table_NL, outliers)


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
    """Zero points, minima or none, act-order or none, every second one with a bias.

    x is a part of a wider tensor where the tokens are odd in number.
    """
    for number, (what, weight) in enumerate(_weights(ops.get("linear", {}))):
        dense_NK = weight.dequantize(torch.float64)
        bias_N = _draw(1, dtype, weight.shape[0]) if number % 2 else None
        placed = None if bias_N is None else bias_N.clone().to(device)
        apply = ops["linear"][weight.format](to_device(weight, device), placed)
        for tokens in TOKENS:
            inputs, more = weight.shape[1], 8 * (tokens % 2)
            x_TK = _draw(tokens, dtype, tokens, inputs + more).to(device)[:, :inputs]
            expected_TN = reference.linear(x_TK.cpu(), dense_NK, bias_N)
            case = f"{what}, {tokens} tokens, bias {bias_N is not None}"
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


def _weights(offered: Mapping[str, Any]) -> Iterator[tuple[str, Weight]]:
    for bits in GROUPED_BITS:
        if f"w{bits}_g" not in offered:
            continue
        for place, shape in enumerate(SHAPES):
            zeros, order = bool(place % 2), place == 2
            what = f"w{bits}_g [N, K, group] = {list(shape)}, zeros {zeros}, act-order {order}"
            yield what, draw_grouped(place, bits, shape, zeros=zeros, order=order)
    for bits in MINIMUM_BITS:
        if f"w{bits}_m" not in offered:
            continue
        for place, shape in enumerate(SHAPES):
            dtype = (torch.float16, torch.float32)[place % 2]
            what = f"w{bits}_m [N, K, group] = {list(shape)}, scales in {dtype}"
            yield what, draw_minimum(place, bits, shape, dtype)
    for bits in LOOKUP_BITS:
        if f"w{bits}_lut" not in offered:
            continue
        for place, (rows, columns, _) in enumerate(SHAPES):
            yield f"w{bits}_lut [N, K] = {[rows, columns]}", draw_lookup(place, bits, rows, columns)


def _draw(seed: int, dtype: str, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[dtype])
