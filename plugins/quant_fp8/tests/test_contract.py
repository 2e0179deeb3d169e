"""FP8 as checkpoints store it, number by number; dense ones that are rounded; what is refused."""

from __future__ import annotations

import pytest
import torch

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.layers.scaled import ScaledMatrix
from inferd.testing import QuantizationContract
from inferd_quant_fp8.config import Config

E4M3 = torch.float8_e4m3fn
BLOCKS = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}


def rounded(values: torch.Tensor) -> torch.Tensor:
    """The nearest numbers of e4m3, ties to even, from what the format is: 3 bits after the point,
    exponents from -6, 448 at most."""
    exponent = values.abs().clamp_min(1e-30).log2().floor().clamp_min(-6)
    step = torch.exp2(exponent - 3)
    return ((values / step).round() * step).clamp(-448, 448)


def best_rounded(weight_NK: torch.Tensor, scale_N1: torch.Tensor) -> torch.Tensor:
    """Each row by the one of eight scales, up to twice as large, that has the least error."""
    scales = [scale_N1 * 2 ** (step / 8) for step in range(8)]
    tried_SNK = torch.stack([rounded((weight_NK / s).double()) * s.double() for s in scales])
    best_N = (tried_SNK - weight_NK).norm(dim=-1).argmin(0)
    return tried_SNK[best_N, torch.arange(len(weight_NK))]


class TestContract(QuantizationContract):
    plugin = "fp8"
    method = "fp8"
    configs = {
        "static": {"quant_method": "fp8", "activation_scheme": "static"},
        "dynamic": {"quant_method": "fp8", "activation_scheme": "dynamic"},
        "by row": {"quant_method": "fp8", "modules_to_not_convert": ["none"]},
        "blocks": BLOCKS,
        "dense": {},
    }

    def store(self, weight_NK, config):
        rows, exact_NK = len(weight_NK), weight_NK.double()
        if "weight_block_size" in config:
            scale_NK = torch.empty_like(exact_NK)
            scales = torch.empty(-(-rows // 128), -(-weight_NK.shape[1] // 128))
            for row in range(scales.shape[0]):
                for column in range(scales.shape[1]):
                    at = slice(row * 128, row * 128 + 128), slice(column * 128, column * 128 + 128)
                    scales[row, column] = exact_NK[at].abs().max() / 448
                    scale_NK[at] = scales[row, column].double()
            name = "weight_scale_inv"
        elif "activation_scheme" in config:
            scales = (exact_NK.abs().max() / 448).float()
            scale_NK, name = scales.double(), "weight_scale"
        else:
            scales = (exact_NK.abs().amax(1) / 448).float()
            if not config:
                return {"weight": weight_NK}, best_rounded(weight_NK.float(), scales[:, None])
            scale_NK, name = scales.double()[:, None], "weight_scale"
        # in float32, as the format says: what lies between two numbers depends on it
        codes_NK = rounded((weight_NK.float() / scale_NK.float()).double())
        tensors = {"weight": codes_NK.to(E4M3), name: scales}
        assert torch.equal(tensors["weight"].double(), codes_NK)
        if config.get("activation_scheme") == "static":
            tensors["input_scale"] = torch.tensor(0.02)
        return tensors, codes_NK * scale_NK


def test_what_is_ignored() -> None:
    found = Config.read({**BLOCKS, "modules_to_not_convert": ["lm_head", "layers.0", "mlp.gate"]})
    names = {
        "model.layers.0.self_attn.q_proj": True,
        "model.layers.1.mlp.gate": True,
        "model.layers.1.mlp.gate_proj": False,
        "model.layers.10.self_attn.q_proj": False,
    }
    assert {name: found.ignores(name) for name in names} == names


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quant_method": "gptq", "bits": 4}, "quant_method is 'gptq'"),
        ({**BLOCKS, "fmt": "e5m2"}, "fmt is 'e5m2', expected one of e4m3"),
        ({**BLOCKS, "weight_block_size": [64, 64]}, r"weight_block_size is \[64, 64\]"),
        ({**BLOCKS, "activation_scheme": "static"}, "activation_scheme is 'static'"),
        ({**BLOCKS, "activation_scheme": "none"}, "one of dynamic, static"),
    ],
)
def test_what_is_not_read_is_refused(wrong, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        Config.read(wrong)


def test_the_last_blocks_may_be_smaller() -> None:
    matrix = ScaledMatrix(E4M3, "weight_scale_inv", blocks=True)
    assert matrix.tensors("layer.proj", 130, 160)["weight_scale_inv"].shape == (2, 2)
    stored = {
        "weight": torch.ones(130, 160, dtype=E4M3),
        "weight_scale_inv": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    }
    found_NK = matrix.weight("layer.proj", stored).dequantize(torch.float64)
    assert found_NK.shape == (130, 160)
    assert found_NK[127:129, 127:129].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(wrong: float) -> None:
    stored = {"weight": torch.zeros(4, 8, dtype=E4M3), "weight_scale": torch.tensor(wrong)}
    with pytest.raises(CheckpointError, match=r"layer\.proj\.weight_scale has numbers that are no"):
        ScaledMatrix(E4M3, "weight_scale").weight("layer.proj", stored)
