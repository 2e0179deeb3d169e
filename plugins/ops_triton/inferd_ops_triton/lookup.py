"""Linears of weights by tables: the kernel for few tokens, unpacking and the library for many.

Shape suffixes: T tokens, N out features, K in features.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import linear as library

from inferd.contracts.bit_strings import pack_bits, unpack_bits
from inferd.contracts.lookup_format import LOOKUP_BITS, LookupWeight
from inferd.contracts.ops import Linear
from inferd_ops_triton.kernels.lookup import add_outliers, multiply, unpack

MANY = 64  # tokens from which unpacking is taken to be cheaper; not measured


class MakeLookup:
    """Codes of 3 bits are kept as 4."""

    formats = tuple(f"w{bits}_lut" for bits in LOOKUP_BITS)

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def __call__(self, weight: LookupWeight, bias_N: Tensor | None, /) -> Linear:
        codes_NB = pack_bits(unpack_bits(weight.packed_NB, weight.bits), 4).contiguous()
        table_NL, dtype = weight.table_NL.contiguous(), self._dtype
        kept = replace(weight, packed_NB=codes_NB)  # the narrower copy is let go

        def linear(x_TK: Tensor) -> Tensor:
            if x_TK.shape[0] < MANY:
                sums_TN = multiply(x_TK, codes_NB, table_NL)
            else:
                sums_TN = library(x_TK, unpack(codes_NB, table_NL, dtype))
            return add_outliers(sums_TN, x_TK, kept, bias_N)

        return linear
