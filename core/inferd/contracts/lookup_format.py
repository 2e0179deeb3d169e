"""`w3_lut`, `w4_lut`: codes that name a value of their row's table, and outliers beside them.

Shape suffixes: K in features, N out features, L = 2 ** bits, E outliers; B bytes of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inferd.contracts.bit_strings import unpack_bits

LOOKUP_BITS = (3, 4)


@dataclass(frozen=True, slots=True)
class Outliers:
    """What is added to a matrix [N, K] in a few places: row n has starts[n] to starts[n+1].

    A place may come twice: both count.
    """

    starts_N1: Tensor  # int32 [N + 1]
    columns_E: Tensor  # int32
    values_E: Tensor  # float32

    @property
    def num_bytes(self) -> int:
        return self.starts_N1.nbytes + self.columns_E.nbytes + self.values_E.nbytes

    def row_of_each(self) -> Tensor:
        """int64, the row of each."""
        counts_N = self.starts_N1.diff().long()
        return torch.arange(len(counts_N), device=counts_N.device).repeat_interleave(counts_N)

    @classmethod
    def of(cls, rows_E: Tensor, columns_E: Tensor, values_E: Tensor, num_rows: int) -> Outliers:
        """From places in any order."""
        order = rows_E.argsort(stable=True)
        counts_N = torch.bincount(rows_E, minlength=num_rows)
        starts_N1 = torch.cat((counts_N.new_zeros(1), counts_N.cumsum(0)))
        return cls(starts_N1.int(), columns_E[order].int(), values_E[order].float())

    def rows(self, order_N: Tensor) -> Outliers:
        """With the rows that `order_N`, a permutation, names."""
        return Outliers.of(
            order_N.argsort()[self.row_of_each()], self.columns_E, self.values_E, len(order_N)
        )

    def below(self, other: Outliers) -> Outliers:
        """With the other's rows after these."""
        starts_N1 = torch.cat((self.starts_N1, other.starts_N1[1:] + self.starts_N1[-1]))
        columns_E = torch.cat((self.columns_E, other.columns_E))
        return Outliers(starts_N1, columns_E, torch.cat((self.values_E, other.values_E)))


@dataclass(frozen=True, slots=True)
class LookupWeight:
    """weight[n, k] = table[n, code[n, k]] + what the outliers add at n, k."""

    bits: int

    packed_NB: Tensor
    """uint8: codes as GroupedWeight has them."""

    table_NL: Tensor
    """float32."""

    outliers: Outliers

    @property
    def format(self) -> str:
        return f"w{self.bits}_lut"

    @property
    def shape(self) -> tuple[int, int]:
        """N, K."""
        rows, size = self.packed_NB.shape
        return rows, size * 8 // self.bits

    @property
    def num_bytes(self) -> int:
        """Of all its tensors."""
        return self.packed_NB.nbytes + self.table_NL.nbytes + self.outliers.num_bytes

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The dense weight [N, K]; rounded once."""
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        codes_NK, places = unpack_bits(self.packed_NB, self.bits).long(), self.outliers
        weight_NK = self.table_NL.to(exact).gather(1, codes_NK)
        where = places.row_of_each(), places.columns_E.long()
        return weight_NK.index_put_(where, places.values_E.to(exact), accumulate=True).to(dtype)

    def rows(self, order_N: Tensor) -> LookupWeight:
        """With the rows that `order_N`, a permutation, names."""
        packed_NB, table_NL = self.packed_NB[order_N], self.table_NL[order_N]
        return LookupWeight(self.bits, packed_NB, table_NL, self.outliers.rows(order_N))

    def joins(self, other: object) -> bool:
        """Whether the rows of both can be one weight."""
        return (
            isinstance(other, LookupWeight)
            and self.bits == other.bits
            and self.shape[1] == other.shape[1]
        )

    def joined(self, others: Sequence[LookupWeight]) -> LookupWeight:
        """One weight of the rows of all, which join."""
        parts, outliers = [self, *others], self.outliers
        for other in others:
            outliers = outliers.below(other.outliers)
        return replace(
            self,
            packed_NB=torch.cat([part.packed_NB for part in parts]),
            table_NL=torch.cat([part.table_NL for part in parts]),
            outliers=outliers,
        )
