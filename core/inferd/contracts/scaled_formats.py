"""W8A8: weights of 8 bits with scales, and how the inputs of their products are rounded.

A product with such a weight may be of x as it is or of x rounded as the weight's `inputs` say: the
first is nearer to the model, the second is what the matrix units take. An op may choose by the
number of tokens.

Shape suffixes: T tokens, K in features, N out features, R runs of rows, G groups of K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

E4M3 = torch.float8_e4m3fn
LARGEST = {E4M3: 448.0, torch.int8: 127.0}
BLOCK = 128  # rows and columns that share a scale in `fp8_block`; the last may be fewer
SCALES = 8  # that are tried for a row of a dense weight
# numbers rounded at a time: a CPU's stay in caches (2 ** 15 take 1.5x on an AMD EPYC, 2026-11-27),
# a device's take longer than the hundred launches of each, and half a gigabyte for copies
PIECE, DEVICE_PIECE = 2**17, 2**25
EXPONENT = 0x7F800000  # bits of a float32
TINY = 1e-12  # the least largest value: a token of zeros has a scale, too


@dataclass(frozen=True, slots=True)
class RoundedInputs:
    """x[t, k] is about codes[t, k] * scales[t, k // 128], or * scales[t, 0] where G is 1."""

    codes_TK: Tensor  # float8_e4m3fn or int8
    scales_TG: Tensor  # float32

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """[T, K]."""
        inputs, scales_TK = self.codes_TK.shape[1], self.scales_TG.to(dtype)
        if scales_TK.shape[1] > 1:
            scales_TK = scales_TK.repeat_interleave(BLOCK, 1)[:, :inputs]
        return self.codes_TK.to(dtype) * scales_TK


@dataclass(frozen=True, slots=True)
class InputFormat:
    """How x is rounded: code = round(clamp(x * (1 / scale))), to the nearest, ties to even.

    The scale is the largest |x| of a token, or of `group` inputs of it, over the largest code, in
    float32; or it is `scale` for all. The range of int8 is symmetric: -127 to 127.
    """

    dtype: torch.dtype  # float8_e4m3fn or int8
    group: int | None = None  # BLOCK, or all inputs of a token
    scale: float | None = None

    def round(self, x_TK: Tensor) -> RoundedInputs:
        """The last group may be smaller."""
        tokens, inputs = x_TK.shape
        most, size = LARGEST[self.dtype], self.group or inputs
        x_TGS = F.pad(x_TK.float(), (0, -inputs % size)).view(tokens, -1, size)
        scales_TG1 = x_TGS.abs().amax(-1, keepdim=True).clamp_min(TINY) / most
        if self.scale is not None:
            scales_TG1 = torch.full_like(scales_TG1, self.scale)
        codes_TGS = (x_TGS * (1 / scales_TG1)).clamp(-most, most)
        if self.dtype == torch.int8:
            codes_TGS = codes_TGS.round()
        codes_TK = codes_TGS.flatten(1)[:, :inputs].to(self.dtype)
        return RoundedInputs(codes_TK, scales_TG1.squeeze(-1))


@dataclass(frozen=True, slots=True)
class ScaledWeight:
    """`fp8_row`, `int8_row`: a scale per row. `fp8_block`: per `run` rows and 128 columns.

        weight[n, k] = values[n, k] * scales[n // run, k // 128]

    A scale per tensor is the same scale in each row. The last blocks of rows and of columns may be
    smaller.
    """

    values_NK: Tensor  # float8_e4m3fn or int8
    scales_RG: Tensor  # float32
    inputs: InputFormat
    run: int = 1  # rows of a scale: 1 or 128

    @property
    def format(self) -> str:
        kind = "int8" if self.values_NK.dtype == torch.int8 else "fp8"
        return f"{kind}_{'row' if self.inputs.group is None else 'block'}"

    @property
    def shape(self) -> tuple[int, int]:
        """N, K."""
        size, inner = self.values_NK.shape
        return size, inner

    @property
    def num_bytes(self) -> int:
        """Of all its tensors."""
        return self.values_NK.nbytes + self.scales_RG.nbytes

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The dense weight [N, K]; rounded once."""
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        scales_NK = self.scales_RG.to(exact)
        if self.run > 1:
            scales_NK = scales_NK.repeat_interleave(self.run, 0)[: self.shape[0]]
        if self.inputs.group is not None:
            scales_NK = scales_NK.repeat_interleave(self.inputs.group, 1)[:, : self.shape[1]]
        return (self.values_NK.to(exact) * scales_NK).to(dtype)

    def rows_apart(self) -> ScaledWeight:
        """With scales for each row of its own."""
        scales_NG = self.scales_RG.repeat_interleave(self.run, 0)[: self.shape[0]]
        return replace(self, scales_RG=scales_NG, run=1)

    def rows(self, order_N: Tensor) -> ScaledWeight:
        """With the rows that `order_N` names."""
        apart = self.rows_apart()
        # index_select knows no FP8: its bits are moved
        bits_NK = self.values_NK.view(torch.uint8)[order_N]
        values_NK = bits_NK.view(self.values_NK.dtype)
        return replace(apart, values_NK=values_NK, scales_RG=apart.scales_RG[order_N])

    def joins(self, other: object) -> bool:
        """Whether the rows of both can be one weight."""
        return (
            isinstance(other, ScaledWeight)
            and self.inputs == other.inputs
            and self.shape[1] == other.shape[1]
        )

    def joined(self, others: Sequence[ScaledWeight]) -> ScaledWeight:
        """One weight of the rows of all, which join. Each row keeps its scale."""
        parts = [self, *others]
        whole = all(p.run == self.run and p.shape[0] % p.run == 0 for p in parts[:-1])
        if not (whole and parts[-1].run == self.run):
            parts = [part.rows_apart() for part in parts]
        values = torch.cat([part.values_NK.view(torch.uint8) for part in parts])
        return replace(
            parts[0],
            values_NK=values.view(self.values_NK.dtype),
            scales_RG=torch.cat([part.scales_RG for part in parts]),
        )

    @classmethod
    def by_rows(cls, weight_NK: Tensor, dtype: torch.dtype) -> ScaledWeight:
        """A dense weight rounded to `fp8_row` or `int8_row`, inputs rounded by token."""
        size = DEVICE_PIECE if weight_NK.device.type != "cpu" else PIECE
        pieces = torch.split(weight_NK, max(1, size // weight_NK.shape[1]))
        first, *others = (cls._piece(piece_RK, dtype) for piece_RK in pieces)
        return first.joined(others)

    @classmethod
    def _piece(cls, weight_NK: Tensor, dtype: torch.dtype) -> ScaledWeight:
        if dtype == E4M3:
            scales_N1 = least_error(weight_NK)
            return cls((weight_NK / scales_N1).to(E4M3), scales_N1, InputFormat(E4M3))
        rounded = InputFormat(dtype).round(weight_NK)
        return cls(rounded.codes_TK, rounded.scales_TG, InputFormat(dtype))


def least_error(weight_NK: Tensor) -> Tensor:
    """[N, 1], float32: of SCALES, the one by which e4m3 has each row best.

    They make 448 to 224 of the row's largest number: a float is rounded by its place between two
    powers of two, so what is best there depends on where most of the row lies.
    """
    sizes_NK = weight_NK.abs().float()
    largest_N1 = sizes_NK.amax(1, keepdim=True).clamp_min(TINY) / LARGEST[E4M3]
    tried_SN1 = torch.stack([largest_N1 * 2 ** (step / SCALES) for step in range(SCALES)])
    errors_SN1 = torch.stack([
        torch.linalg.vector_norm(rounding(sizes_NK / scales_N1), dim=1, keepdim=True) * scales_N1
        for scales_N1 in tried_SN1
    ])  # fmt: skip
    return tried_SN1.gather(0, errors_SN1.argmin(0, keepdim=True)).squeeze(0)


def rounding(values: Tensor) -> Tensor:
    """What e4m3 adds to numbers from 0 to 448, float32; in a tenth of the time of casting twice.

    From a power of two to the next its numbers are eighths of the power apart, and below 2 ** -6 as
    they are above. A float32 2 ** 20 times as large as the power has steps of just that.
    """
    powers = (values.view(torch.int32) & EXPONENT).view(torch.float32).clamp_(min=2**-6)
    rounded = torch.add(values, powers, alpha=2**20).sub_(powers, alpha=2**20)
    return rounded.sub_(values)
