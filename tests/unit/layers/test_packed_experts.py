"""Experts stay packed where an op has the format of all, and else are dequantized."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Linear, MakePackedExperts, Ops
from inferd.contracts.quantization import ExpertsSpec
from inferd.contracts.weight_formats import GroupedWeight
from inferd.layers.gathered import packed_experts
from inferd.layers.matrix_format import MatrixFormat, Stored
from inferd.layers.packed_experts import PARTS, PackedExperts
from inferd.testing.drive import installed_ops, reference_ops
from inferd.testing.experts_layer import check_batches
from inferd.testing.packed_weights import draw_grouped

EXPERTS, HIDDEN, INNER = 3, 64, 32
SPEC = ExpertsSpec(
    "layer.experts", EXPERTS, HIDDEN, INNER, "silu", False, torch.bfloat16, torch.device("cpu")
)


def by_values(weight: GroupedWeight, bias_N: Tensor | None) -> Linear:
    return lambda x_TK: F.linear(x_TK, weight.dequantize(x_TK.dtype), bias_N)


class Coded(MatrixFormat):
    """A tensor of any floats, which is taken for a drawn matrix of so many bits."""

    def __init__(self, seed: int, bits: int) -> None:
        self._seed, self._bits = seed, bits

    def tensors(self, name, rows, columns):
        return {"weight": Stored((rows, columns))}

    def weight(self, name, stored):
        return draw_grouped(self._seed, self._bits, (*stored["weight"].shape, 32))


BOTH = dict.fromkeys(("w4_g", "w8_g"), packed_experts(by_values))
APART = {name: packed_experts(by_values) for name in BOTH}
ONE = {"w4_g": packed_experts(by_values)}
PICKY = {"w4_g": lambda *_: None}  # multiplies none of these


@pytest.mark.parametrize(
    ("makers", "bits", "packed"),
    [
        (ONE, (4, 4, 4), True),
        (ONE, (4, 4, 8), False),
        (BOTH, (4, 4, 8), True),  # down of another format, by the op of both
        (BOTH, (8, 8, 4), True),
        (APART, (4, 4, 8), False),
        (BOTH, (4, 8, 8), False),
        (BOTH, (3, 3, 3), False),
        (PICKY, (4, 4, 4), False),
    ],
    ids=["one", "another", "down", "gate and up", "two ops", "unlike", "none", "picky"],
)
def test_what_is_made_of_them(
    makers: dict[str, MakePackedExperts], bits: tuple[int, ...], packed: bool
) -> None:
    ops = replace(reference_ops(torch.bfloat16), packed_experts=makers)
    forms = [Coded(seed, bits[seed % len(bits)]) for seed in range(3 * EXPERTS)]
    method, exact = loaded(ops, forms)
    gate_up_MND = torch.stack([torch.cat((exact[m, 0], exact[m, 1])) for m in range(EXPERTS)])
    down_MDI = torch.stack([exact[m, 2] for m in range(EXPERTS)])
    experts = method.finish()
    values = gate_up_MND.numel() // 2 * (bits[0] + bits[1]) + down_MDI.numel() * bits[2]
    numbers = 3 * (gate_up_MND.numel() + down_MDI.numel()) // 32  # scales and zeros
    dense_bytes = 2 * (gate_up_MND.numel() + down_MDI.numel())
    assert method.num_bytes == (values // 8 + numbers if packed else dense_bytes)
    assert method.dequantized == (not packed)
    check_batches(experts, gate_up_MND, down_MDI, "bfloat16")


def loaded(ops: Ops, forms: list[Coded]) -> tuple[PackedExperts, dict[tuple[int, int], Tensor]]:
    """And the exact values by expert and part."""
    left, exact = iter(forms), {}
    method = PackedExperts(SPEC, ops, lambda _: next(left))
    for place, form in enumerate(forms):
        expert, part = divmod(place, len(PARTS))
        data = torch.zeros(SPEC.shape(part))
        method.load("weight", expert, part, RawTensor("w", tuple(data.shape), "float32", data))
        exact[expert, part] = form.weight("w", {"weight": data}).dequantize(torch.float64)
    return method, exact


def test_those_of_one_format_stay_packed_on_cpus() -> None:
    method, _ = loaded(installed_ops("cpu", torch.bfloat16), [Coded(s, 4) for s in range(9)])
    method.finish()
    assert not method.dequantized
