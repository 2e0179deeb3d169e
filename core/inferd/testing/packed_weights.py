"""Random weights of every format.

Shape suffixes as in inferd.contracts.weight_formats, E outliers.
"""

from __future__ import annotations

import torch

from inferd.contracts.bit_strings import pack_bits
from inferd.contracts.lookup_format import LookupWeight, Outliers
from inferd.contracts.scaled_formats import BLOCK, E4M3, InputFormat, ScaledWeight
from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight


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
