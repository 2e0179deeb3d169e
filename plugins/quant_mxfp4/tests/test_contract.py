"""Linears as they are, and experts number by number as the format's specification says."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import ExpertsSpec
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing import QuantizationContract, reference
from inferd.testing.drive import installed_ops
from inferd.testing.numbers import check_close
from inferd_quant_mxfp4.experts import dequantize
from inferd_quant_mxfp4.method import Mxfp4Method

NUM, HIDDEN, INNER = 3, 64, 32


class TestContract(QuantizationContract):
    plugin = "mxfp4"
    method = "mxfp4"
    configs = {"gpt-oss": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}

    def store(self, weight_NK, config):
        return {"weight": weight_NK}, weight_NK


def e2m1(code: int) -> float:
    """By its bits: sign, two of exponent, one of mantissa; exponent 0 is subnormal."""
    exponent, mantissa = code >> 1 & 3, code & 1
    size = mantissa * 0.5 if exponent == 0 else 2.0 ** (exponent - 1) * (1 + mantissa / 2)
    return -size if code & 8 else size


def test_every_code_and_scale() -> None:
    blocks = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    scales = torch.arange(120, 136, dtype=torch.uint8).view(1, 16)
    expected = [
        e2m1(code) * 2.0 ** (int(scales[0, byte // 16]) - 127)
        for byte in range(256)
        for code in (byte & 15, byte >> 4)
    ]
    assert dequantize(blocks, scales)[0].tolist() == expected


def spec(**more) -> ExpertsSpec:
    sizes = {"num_experts": NUM, "hidden_size": HIDDEN, "intermediate_size": INNER}
    kinds = {"activation": "silu", "bias": True, "dtype": torch.float32}
    return ExpertsSpec("experts", **(sizes | kinds | more), device=torch.device("cpu"))


def create(**more):
    return Mxfp4Method().create_experts(spec(**more), installed_ops("cpu", torch.float32))


def raw(name: str, data: torch.Tensor) -> RawTensor:
    return RawTensor(name, tuple(data.shape), str(data.dtype).removeprefix("torch."), data)


@pytest.mark.parametrize("order", [("blocks", "scales", "bias"), ("scales", "bias", "blocks")])
def test_experts_are_those_of_the_dequantized_weights(order) -> None:
    generator, method = torch.Generator().manual_seed(0), create()
    weights = {part: [] for part in range(3)}
    biases = {part: [] for part in range(3)}
    for part in range(3):
        shapes = method.expected(part)
        for expert in range(NUM):
            stored = {
                "blocks": torch.randint(256, shapes["blocks"], generator=generator).byte(),
                "scales": torch.randint(122, 126, shapes["scales"], generator=generator).byte(),
                "bias": torch.randn(shapes["bias"], generator=generator),
            }
            for suffix in order:
                method.load(suffix, expert, part, raw(suffix, stored[suffix]))
            weights[part].append(dequantize(stored["blocks"], stored["scales"]))
            biases[part].append(stored["bias"])
    stack = {part: (torch.stack(weights[part]), torch.stack(biases[part])) for part in range(3)}
    gate_up = tuple(torch.cat(both, dim=1) for both in zip(stack[0], stack[1], strict=True))
    x_TD = torch.randn(5, HIDDEN, generator=generator)
    chosen_TC = torch.tensor([[0, 1], [1, 2], [2, 0], [0, 2], [1, 0]])
    weights_TC = torch.rand(5, 2, generator=generator)
    found_TD = method.finish()(x_TD, chosen_TC, weights_TC)
    expected_TD = reference.experts(x_TD, chosen_TC, weights_TC, "silu", gate_up, stack[2])
    check_close("experts", found_TD, expected_TD, "float32")


def test_what_is_not_read_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="hidden size 48, no multiple of 32"):
        create(hidden_size=48)
    with pytest.raises(CheckpointError, match=r"name: expected uint8 \[32, 2, 16\]"):
        create().load("blocks", 0, 0, raw("name", torch.zeros(32, 2, 16)))
    with pytest.raises(CheckpointError, match="'weight'"):
        create().load("weight", 0, 0, raw("name", torch.zeros(32, 64)))
