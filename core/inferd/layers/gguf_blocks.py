"""Block formats of GGUF: packed bytes to integer codes with numbers per group, and to float32.

Plain torch, because unpacking is most of a small model's start: SmolLM2 (135M values, Q4_1 and
Q8_0) costs 5.1 s of CPU time through gguf's numpy and 0.35 s here (one thread of a Xeon with
AVX-512, 2026-11). Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h

Shape suffixes: N blocks, B bytes of a block, V values of a block, G groups within a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

MXFP4_DOUBLED = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


class Coded(NamedTuple):
    """(code - zero) * scale + minimum; without minima where those are None."""

    codes_NV: Tensor  # uint8
    scales_NG: Tensor  # float16, or float32 where a block scales its groups' scales
    minima_NG: Tensor | None = None  # in the scales' dtype
    zero: int = 0


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """Blocks are [N, num_bytes] uint8."""

    name: str
    bits: int  # of a code, as it is read
    num_values: int
    num_bytes: int
    read: Callable[[Tensor], Coded]

    def unpack(self, blocks_NB: Tensor) -> Tensor:
        """[N, num_values] float32, bit for bit what gguf.quants.dequantize gives."""
        coded = self.read(blocks_NB)
        values = coded.codes_NV.float()
        if coded.zero:
            values.sub_(coded.zero)
        values_NGV = values.view(*coded.scales_NG.shape, -1)
        values_NGV.mul_(coded.scales_NG.float().unsqueeze(-1))
        if coded.minima_NG is not None:
            values_NGV.add_(coded.minima_NG.float().unsqueeze(-1))
        return values


def _half(blocks_NB: Tensor, at: int) -> Tensor:
    """The number at byte `at` of each block: [N, 1] float16."""
    return blocks_NB[:, at : at + 2].contiguous().view(torch.float16)


def _fields(bytes_NB: Tensor, run: int, bits: int) -> Tensor:
    """Fields of `bits` bits, lowest first, where `run` bytes give `run` values per field.

    [N, B] -> [N, B * 8 / bits] uint8: all lowest fields of the first run, then the next ones.
    """
    count = 8 // bits
    runs = bytes_NB.reshape(len(bytes_NB), -1, run)
    out = runs.new_empty(runs.shape[0], runs.shape[1], count, run)
    for place in range(count):
        torch.bitwise_right_shift(runs, bits * place, out=out[:, :, place])
    return out.bitwise_and_((1 << bits) - 1).flatten(1)


def _q4_0(blocks_NB: Tensor) -> Coded:
    return Coded(_fields(blocks_NB[:, 2:], 16, 4), _half(blocks_NB, 0), zero=8)


def _q4_1(blocks_NB: Tensor) -> Coded:
    return Coded(_fields(blocks_NB[:, 4:], 16, 4), _half(blocks_NB, 0), _half(blocks_NB, 2))


def _with_fifth_bit(low_NV: Tensor, high_NV: Tensor) -> Tensor:
    return high_NV.bitwise_left_shift_(4).bitwise_or_(low_NV)


def _q5_0(blocks_NB: Tensor) -> Coded:
    high_NV = _fields(blocks_NB[:, 2:6], 1, 1)
    codes_NV = _with_fifth_bit(_fields(blocks_NB[:, 6:], 16, 4), high_NV)
    return Coded(codes_NV, _half(blocks_NB, 0), zero=16)


def _q5_1(blocks_NB: Tensor) -> Coded:
    high_NV = _fields(blocks_NB[:, 4:8], 1, 1)
    codes_NV = _with_fifth_bit(_fields(blocks_NB[:, 8:], 16, 4), high_NV)
    return Coded(codes_NV, _half(blocks_NB, 0), _half(blocks_NB, 2))


def _q8_0(blocks_NB: Tensor) -> Coded:
    """Signed bytes: with their highest bit turned they count from -128."""
    return Coded(blocks_NB[:, 2:] ^ 128, _half(blocks_NB, 0), zero=128)


def _q2_k(blocks_NB: Tensor) -> Coded:
    both_NG = blocks_NB[:, :16]
    scales_NG = _half(blocks_NB, 80).float() * (both_NG & 15).float()
    minima_NG = -_half(blocks_NB, 82).float() * (both_NG >> 4).float()
    return Coded(_fields(blocks_NB[:, 16:80], 32, 2), scales_NG, minima_NG)


def _q3_k(blocks_NB: Tensor) -> Coded:
    low_NG, high_NG = _fields(blocks_NB[:, 96:104], 8, 4), _fields(blocks_NB[:, 104:108], 4, 2)
    scales_NG = _half(blocks_NB, 108).float() * (low_NG | (high_NG << 4)).float().sub_(32)
    third_NV = _fields(blocks_NB[:, :32], 32, 1).bitwise_left_shift_(2)
    return Coded(_fields(blocks_NB[:, 32:96], 32, 2).bitwise_or_(third_NV), scales_NG, zero=4)


def _six_bit_pairs(blocks_NB: Tensor) -> tuple[Tensor, Tensor]:
    """Scales and minima of Q4_K and Q5_K: 8 of each in bytes 4 to 16, six bits wide."""
    first, second, mixed = blocks_NB[:, 4:8], blocks_NB[:, 8:12], blocks_NB[:, 12:16]
    scales_NG = torch.cat((first & 63, (mixed & 15) | ((first >> 2) & 48)), dim=1)
    minima_NG = torch.cat((second & 63, (mixed >> 4) | ((second >> 2) & 48)), dim=1)
    scale, minimum = _half(blocks_NB, 0).float(), -_half(blocks_NB, 2).float()
    return scale * scales_NG.float(), minimum * minima_NG.float()


def _q4_k(blocks_NB: Tensor) -> Coded:
    return Coded(_fields(blocks_NB[:, 16:], 32, 4), *_six_bit_pairs(blocks_NB))


def _q5_k(blocks_NB: Tensor) -> Coded:
    high_NV = _fields(blocks_NB[:, 16:48], 32, 1)
    codes_NV = _with_fifth_bit(_fields(blocks_NB[:, 48:], 32, 4), high_NV)
    return Coded(codes_NV, *_six_bit_pairs(blocks_NB))


def _q6_k(blocks_NB: Tensor) -> Coded:
    low_NV, high_NV = _fields(blocks_NB[:, :128], 64, 4), _fields(blocks_NB[:, 128:192], 32, 2)
    scales_NG = _half(blocks_NB, 208).float() * blocks_NB[:, 192:208].view(torch.int8).float()
    return Coded(_with_fifth_bit(low_NV, high_NV), scales_NG, zero=32)


def _mxfp4(blocks_NB: Tensor) -> Coded:
    """Twice a float of four bits is an integer up to 12; scales are powers of two, half of them."""
    codes_16 = torch.tensor(MXFP4_DOUBLED, device=blocks_NB.device).add(12).byte()
    exponents_N1 = blocks_NB[:, :1].int() - 128
    ones_N1 = torch.ones(exponents_N1.shape, device=blocks_NB.device)
    codes_NV = codes_16[_fields(blocks_NB[:, 1:], 16, 4).int()]
    return Coded(codes_NV, torch.ldexp(ones_N1, exponents_N1), zero=12)


FORMATS = {  # by ggml type
    2: BlockFormat("Q4_0", 4, 32, 18, _q4_0),
    3: BlockFormat("Q4_1", 4, 32, 20, _q4_1),
    6: BlockFormat("Q5_0", 5, 32, 22, _q5_0),
    7: BlockFormat("Q5_1", 5, 32, 24, _q5_1),
    8: BlockFormat("Q8_0", 8, 32, 34, _q8_0),
    10: BlockFormat("Q2_K", 2, 256, 84, _q2_k),
    11: BlockFormat("Q3_K", 3, 256, 110, _q3_k),
    12: BlockFormat("Q4_K", 4, 256, 144, _q4_k),
    13: BlockFormat("Q5_K", 5, 256, 176, _q5_k),
    14: BlockFormat("Q6_K", 6, 256, 210, _q6_k),
    39: BlockFormat("MXFP4", 5, 32, 17, _mxfp4),
}
STORAGE = {f"gguf_{form.name.lower()}": form for form in FORMATS.values()}
"""By the storage type that a RawTensor has."""
