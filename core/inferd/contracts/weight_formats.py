"""Weight formats: what a quantization method makes of a checkpoint and an op multiplies by.

A format's name is its key in `Ops.linear`. A format that no provider has is dequantized when the
layer is loaded, and multiplied as `dense`. The dataclasses here, in `scaled_formats` and in
`lookup_format` are the formats, to the bit, and `dequantize` is what a kernel is held to.

Shape suffixes: K in features, N out features, G groups of K, B bytes of a row, L = 2 ** bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from inferd.contracts.bit_strings import unpack_bits
from inferd.contracts.lookup_format import LookupWeight
from inferd.contracts.scaled_formats import ScaledWeight

DENSE = "dense"  # its weight is a tensor [N, K] in the model's dtype
GROUPED_BITS = (2, 3, 4, 8)
MINIMUM_BITS = (4, 8)


@dataclass(frozen=True, slots=True)
class CodedWeight:
    """What integer codes with numbers per group have in common: size = K / G inputs to a group."""

    bits: int
    packed_NB: Tensor
    """uint8, B = K * bits / 8. Row n is a string of bits, the lowest of a byte first: code k has
    bits k * bits to (k + 1) * bits - 1, its own lowest first. With 4 bits, code 0 is the low half
    of byte 0 and code 1 the high half; with 3 bits eight codes are three bytes."""

    scales_NG: Tensor
    """float16, bfloat16 or float32: as the checkpoint has them."""

    @property
    def shape(self) -> tuple[int, int]:
        """N, K."""
        rows, size = self.packed_NB.shape
        return rows, size * 8 // self.bits

    @property
    def group_size(self) -> int:
        return self.shape[1] // self.scales_NG.shape[1]

    @property
    def num_bytes(self) -> int:
        """Of all its tensors."""
        values = [getattr(self, field.name) for field in fields(self)]
        return sum(value.nbytes for value in values if isinstance(value, Tensor))

    def codes(self) -> Tensor:
        """uint8 [N, K]."""
        return unpack_bits(self.packed_NB, self.bits)

    def alike(self, other: CodedWeight) -> bool:
        """In all but the number of rows."""
        mine, theirs = (
            (each.bits, each.shape[1], each.scales_NG.shape[1], each.scales_NG.dtype)
            for each in (self, other)
        )
        return mine == theirs


@dataclass(frozen=True, slots=True)
class GroupedWeight(CodedWeight):
    """`w2_g`, `w3_g`, `w4_g`, `w8_g`: integer codes with a scale and a zero point per group.

        weight[n, order[k]] = (code[n, k] - zero[n, k // size]) * scale[n, k // size]

    Signed integers are stored as codes, with 2 ** (bits - 1) as zero.
    """

    zeros_NG: Tensor | None = None
    """uint8; None: 2 ** (bits - 1) everywhere."""

    order_K: Tensor | None = None
    """int64, a permutation: which input each column multiplies (act-order); None: its own."""

    @property
    def format(self) -> str:
        return f"w{self.bits}_g"

    def zeros(self) -> Tensor:
        """uint8 [N, G]."""
        if self.zeros_NG is not None:
            return self.zeros_NG
        return torch.full_like(self.scales_NG, 2 ** (self.bits - 1), dtype=torch.uint8)

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The dense weight [N, K], its columns in the order of the inputs; rounded once."""
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        codes_NGS = self.codes().view(*self.scales_NG.shape, -1).to(exact)
        values = (codes_NGS - self.zeros().unsqueeze(-1)) * self.scales_NG.unsqueeze(-1).to(exact)
        weight_NK = values.flatten(1).to(dtype)
        if self.order_K is None:
            return weight_NK
        return torch.empty_like(weight_NK).index_copy_(1, self.order_K, weight_NK)

    def rows(self, order_N: Tensor) -> GroupedWeight:
        """With the rows that `order_N` names."""
        zeros = None if self.zeros_NG is None else self.zeros_NG[order_N]
        packed_NB, scales_NG = self.packed_NB[order_N], self.scales_NG[order_N]
        return replace(self, packed_NB=packed_NB, scales_NG=scales_NG, zeros_NG=zeros)

    def joins(self, other: object) -> bool:
        """Whether the rows of both can be one weight."""
        return (
            isinstance(other, GroupedWeight)
            and self.alike(other)
            and _same(self.order_K, other.order_K)
        )

    def joined(self, others: Sequence[GroupedWeight]) -> GroupedWeight:
        """One weight of the rows of all, which join."""
        parts = [self, *others]
        symmetric = all(part.zeros_NG is None for part in parts)
        return replace(
            self,
            packed_NB=torch.cat([part.packed_NB for part in parts]),
            scales_NG=torch.cat([part.scales_NG for part in parts]),
            zeros_NG=None if symmetric else torch.cat([part.zeros() for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class MinimumWeight(CodedWeight):
    """`w4_m`, `w8_m`: codes with a scale and a minimum per group, as GGUF has them.

    weight[n, k] = code[n, k] * scale[n, k // size] + minimum[n, k // size]
    """

    minima_NG: Tensor
    """In the scales' dtype, which is float16 or float32."""

    @property
    def format(self) -> str:
        return f"w{self.bits}_m"

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The dense weight [N, K]; rounded once."""
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        scales_NG1, minima_NG1 = (
            values.unsqueeze(-1).to(exact) for values in (self.scales_NG, self.minima_NG)
        )
        codes_NGS = self.codes().view(*self.scales_NG.shape, -1).to(exact)
        return (codes_NGS * scales_NG1 + minima_NG1).flatten(1).to(dtype)

    def rows(self, order_N: Tensor) -> MinimumWeight:
        """With the rows that `order_N` names."""
        packed_NB, scales_NG = self.packed_NB[order_N], self.scales_NG[order_N]
        return MinimumWeight(self.bits, packed_NB, scales_NG, self.minima_NG[order_N])

    def joins(self, other: object) -> bool:
        """Whether the rows of both can be one weight."""
        return isinstance(other, MinimumWeight) and self.alike(other)

    def joined(self, others: Sequence[MinimumWeight]) -> MinimumWeight:
        """One weight of the rows of all, which join."""
        parts = [self, *others]
        return MinimumWeight(
            self.bits,
            torch.cat([part.packed_NB for part in parts]),
            torch.cat([part.scales_NG for part in parts]),
            torch.cat([part.minima_NG for part in parts]),
        )


Weight = GroupedWeight | MinimumWeight | ScaledWeight | LookupWeight
"""All formats but dense; each has the methods that GroupedWeight has."""


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b if a is None or b is None else torch.equal(a, b)
