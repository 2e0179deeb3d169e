"""Experts stay packed where an op has the format of all, and else are dequantized."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import ExpertsSpec
from inferd.layers.experts import PARTS, PackedExperts
from inferd.layers.packed import MatrixFormat, Stored
from inferd.testing import reference
from inferd.testing.drive import installed_ops
from inferd.testing.numbers import check_close
from inferd.testing.packed_weights import draw_grouped

EXPERTS, HIDDEN, INNER = 3, 64, 32
SPEC = ExpertsSpec(
    "layer.experts", EXPERTS, HIDDEN, INNER, "silu", False, torch.bfloat16, torch.device("cpu")
)


class Coded(MatrixFormat):
    """A tensor of any floats, which is taken for a drawn matrix of so many bits."""

    def __init__(self, seed: int, bits: int) -> None:
        self._seed, self._bits = seed, bits

    def tensors(self, name, rows, columns):
        return {"weight": Stored((rows, columns))}

    def weight(self, name, stored):
        return draw_grouped(self._seed, self._bits, (*stored["weight"].shape, 32))


@pytest.mark.parametrize(("bits", "packed"), [({4}, True), ({4, 8}, False), ({3}, False)], ids=str)
def test_what_is_made_of_them(bits: set[int], packed: bool) -> None:
    forms = [Coded(seed, sorted(bits)[seed % len(bits)]) for seed in range(3 * EXPERTS)]
    left = iter(forms)
    method = PackedExperts(SPEC, installed_ops("cpu", torch.bfloat16), lambda _: next(left))
    exact = {}
    for place, form in enumerate(forms):
        expert, part = divmod(place, len(PARTS))
        data = torch.zeros(SPEC.shape(part))
        method.load("weight", expert, part, RawTensor("w", tuple(data.shape), "float32", data))
        exact[expert, part] = form.weight("w", {"weight": data}).dequantize(torch.float64)
    gate_up_MND = torch.stack([torch.cat((exact[m, 0], exact[m, 1])) for m in range(EXPERTS)])
    down_MDI = torch.stack([exact[m, 2] for m in range(EXPERTS)])
    experts = method.finish()
    dense_bytes = 2 * (gate_up_MND.numel() + down_MDI.numel())
    assert method.num_bytes == dense_bytes or packed
    assert method.num_bytes < dense_bytes / 3 or not packed
    for tokens in (1, 5, 40):
        generator = torch.Generator().manual_seed(tokens)
        x_TD = torch.randn(tokens, HIDDEN, generator=generator).bfloat16()
        chosen_TC = torch.rand(tokens, EXPERTS, generator=generator).argsort(1)[:, :2]
        weights_TC = torch.rand(tokens, 2, generator=generator).bfloat16()
        args = x_TD, chosen_TC, weights_TC
        expected_TD = reference.experts(*args, "silu", (gate_up_MND, None), (down_MDI, None))
        check_close(f"{tokens} tokens", experts(*args), expected_TD, "bfloat16")
