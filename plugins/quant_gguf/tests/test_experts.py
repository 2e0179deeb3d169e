"""Experts in GGUF's formats: what they compute, what stays of them, and what is dequantized."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from random_blocks import blocks
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Ops
from inferd.contracts.quantization import ExpertsMethod, ExpertsSpec
from inferd.layers.gguf_blocks import STORAGE
from inferd.testing.drive import installed_ops
from inferd.testing.experts_layer import check_batches
from inferd_quant_gguf.matrix import FORMATS
from inferd_quant_gguf.method import GgufMethod

EXPERTS, HIDDEN, INNER = 3, 512, 256
SCALE = 2e-4  # values are below one, as a model's
SPEC = ExpertsSpec(
    "layer.experts", EXPERTS, HIDDEN, INNER, "silu", False, torch.bfloat16, torch.device("cpu")
)
MIXED = ("q4_k", "q4_k", "q6_k")  # gate, up and down of half of the layers in Q4_K_M
PACKED = {  # and bytes of a value: its code, and the numbers of its group
    ("q4_k", "q4_k", "q4_k"): (0.75, 0.75),
    MIXED: (0.75, 1.25),
    ("q4_0", "q4_0", "q8_0"): (0.5625, 1.0625),
    ("q5_k", "q5_k", "q6_k"): (1.25, 1.25),
    ("q2_k", "q2_k", "q3_k"): (1.0, 0.75),
}
UNLIKE = [("q4_k", "q6_k", "q4_k"), ("q4_k", "q4_1", "q4_k"), ("q4_k", "q4_k", "float16")]
Values = dict[tuple[int, int], Tensor]


def loaded(ops: Ops, kinds: tuple[str, ...]) -> tuple[ExpertsMethod, Values]:
    """Experts of such kinds, not finished, and their exact values by expert and part."""
    method, values = GgufMethod({}).create_experts(SPEC, ops), {}
    for expert in range(EXPERTS):
        for part, kind in enumerate(kinds):
            raw, values[expert, part] = drawn(kind, 10 * expert + part, *SPEC.shape(part))
            method.load("weight", expert, part, raw)
    return method, values


def drawn(kind: str, seed: int, rows: int, columns: int) -> tuple[RawTensor, Tensor]:
    if kind == "float16":
        data = (torch.randn(rows, columns) / columns**0.5).half()
        return RawTensor("w", (rows, columns), kind, data), data.double()
    data, form = blocks(kind, rows, columns, seed=seed, scale=SCALE), STORAGE[f"gguf_{kind}"]
    values_NK = form.unpack(data.view(-1, form.num_bytes)).view(rows, columns).double()
    return RawTensor("w", (rows, columns), f"gguf_{kind}", data), values_NK


def recording(given: list[Any]) -> Ops:
    """Of which `packed_experts` keep what they get and make what is never called."""

    def make(*args: Any) -> Any:
        given.append(args)
        return object()

    ops = installed_ops("cpu", torch.bfloat16)
    return replace(ops, packed_experts=dict.fromkeys(FORMATS, make))


@pytest.mark.parametrize("kinds", PACKED, ids="-".join)
def test_only_packed_weights_stay(kinds: tuple[str, ...]) -> None:
    given: list[Any] = []
    method, values = loaded(recording(given), kinds)
    method.finish()
    ((gate_up, down, *_),) = given
    for expert in range(EXPERTS):
        both = torch.cat((values[expert, 0], values[expert, 1])).float()
        assert torch.equal(gate_up[expert].dequantize(torch.float32), both)
        assert torch.equal(down[expert].dequantize(torch.float32), values[expert, 2].float())
    count = EXPERTS * HIDDEN * INNER
    first, last = PACKED[kinds]
    assert method.num_bytes == count * (2 * first + last)
    assert not method.dequantized


@pytest.mark.parametrize("kinds", UNLIKE, ids="-".join)
def test_a_layer_that_is_not_alike_is_dequantized(kinds: tuple[str, ...]) -> None:
    given: list[Any] = []
    method, values = loaded(recording(given), kinds)
    check_numbers(method, values)
    assert not given
    assert method.dequantized
    assert method.num_bytes == 2 * 3 * EXPERTS * HIDDEN * INNER


@pytest.mark.parametrize("kinds", PACKED, ids="-".join)
def test_they_compute_what_their_values_do(kinds: tuple[str, ...]) -> None:
    """By the ops that are installed: packed where this CPU has some for them."""
    check_numbers(*loaded(installed_ops("cpu", torch.bfloat16), kinds))


def check_numbers(method: ExpertsMethod, values: Values) -> None:
    """One token, and batches in which an expert has several."""
    experts = method.finish()
    both = [torch.cat((values[m, 0], values[m, 1])) for m in range(EXPERTS)]
    down_MDI = torch.stack([values[m, 2] for m in range(EXPERTS)])
    check_batches(experts, torch.stack(both), down_MDI, "bfloat16")
