"""Linears as they are, and experts number by number as the format's specification says."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import ExpertsSpec
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing import QuantizationContract
from inferd.testing.drive import installed_ops
from inferd_quant_mxfp4.matrix import grouped
from inferd_quant_mxfp4.method import Mxfp4Method

NUM, HIDDEN, INNER = 3, 64, 32


class TestContract(QuantizationContract):
    plugin = "mxfp4"
    method = "mxfp4"
    configs = {"gpt-oss": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}

    def store(self, weight_NK, config):
        return {"weight": weight_NK}, weight_NK

    def store_expert(self, weight_NK, config):
        """The nearest codes, with the power of two that brings the largest of a block below 6."""
        values_NX32 = weight_NK.double().unflatten(1, (-1, 32))
        exponents_NX1 = (values_NX32.abs().amax(-1, keepdim=True) / 6).log2().ceil()
        table = torch.tensor([e2m1(code) for code in range(16)], dtype=torch.float64)
        scaled_NX32 = values_NX32 / 2.0**exponents_NX1
        codes_NX32 = (scaled_NX32.unsqueeze(-1) - table).abs().argmin(-1)
        low, high = codes_NX32[..., ::2], codes_NX32[..., 1::2]
        scales_NX = (exponents_NX1.squeeze(-1) + 127).byte()
        exact_NK = (table[codes_NX32] * 2.0**exponents_NX1).flatten(1)
        return {"blocks": (low + 16 * high).byte(), "scales": scales_NX}, exact_NK


def e2m1(code: int) -> float:
    """By its bits: sign, two of exponent, one of mantissa; exponent 0 is subnormal."""
    exponent, mantissa = code >> 1 & 3, code & 1
    size = mantissa * 0.5 if exponent == 0 else 2.0 ** (exponent - 1) * (1 + mantissa / 2)
    return -size if code & 8 else size


def test_every_code_and_scale() -> None:
    blocks = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    scales = torch.tensor([0, 1, 2, 10, *range(121, 131), 250, 251]).byte().view(1, 16)
    expected = [
        e2m1(code) * 2.0 ** (int(scales[0, byte // 16]) - 127)
        for byte in range(256)
        for code in (byte & 15, byte >> 4)
    ]
    assert grouped(blocks, scales).dequantize(torch.float32)[0].tolist() == expected


def spec(**more) -> ExpertsSpec:
    sizes = {"num_experts": NUM, "hidden_size": HIDDEN, "intermediate_size": INNER}
    kinds = {"activation": "silu", "bias": True, "dtype": torch.float32}
    return ExpertsSpec("experts", **(sizes | kinds | more), device=torch.device("cpu"))


def create(**more):
    return Mxfp4Method({}).create_experts(spec(**more), installed_ops("cpu", torch.float32))


def raw(name: str, data: torch.Tensor) -> RawTensor:
    return RawTensor(name, tuple(data.shape), str(data.dtype).removeprefix("torch."), data)


def test_what_is_not_read_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="experts: its 48 inputs are no multiple of 32"):
        create(hidden_size=48)
    with pytest.raises(CheckpointError, match=r"name: expected uint8 \[32, 2, 16\]"):
        create().load("blocks", 0, 0, raw("name", torch.zeros(32, 2, 16)))
    with pytest.raises(CheckpointError, match="'weight'"):
        create().load("weight", 0, 0, raw("name", torch.zeros(32, 64)))
