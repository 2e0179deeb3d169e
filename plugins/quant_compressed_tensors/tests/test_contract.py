"""pack-quantized, number by number, and what is refused."""

from __future__ import annotations

import pytest
import torch

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing import QuantizationContract
from inferd_quant_compressed_tensors.config import Config, Scheme
from inferd_quant_compressed_tensors.matrix import PackedMatrix


def group(bits=4, size=32, targets=("Linear",), **weights):
    strategy = "channel" if size is None else "group"
    usual = {"num_bits": bits, "type": "int", "symmetric": True, "strategy": strategy}
    return {"weights": {**usual, "group_size": size, **weights}, "targets": list(targets)}


def config(*groups, ignore=(), **more):
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {f"group_{place}": each for place, each in enumerate(groups)},
        "ignore": list(ignore),
        **more,
    }


def words(codes: list[int], bits: int) -> list[int]:
    """Codes one after the other from the lowest bit on, cut into words, as int32 has them."""
    whole = sum(code << place * bits for place, code in enumerate(codes))
    parts = [whole >> start & 0xFFFFFFFF for start in range(0, len(codes) * bits, 32)]
    return [part - (1 << 32) if part >> 31 else part for part in parts]


class TestContract(QuantizationContract):
    plugin = "compressed_tensors"
    method = "compressed-tensors"
    configs = {
        "w4a16, groups of 128": config(group(4, 128)),
        "w4a16, asymmetric": config(group(symmetric=False)),
        "w4a16, act-order": config(group(4, 64, actorder="group", symmetric=False)),
        "w4a16, sorted before": config(group(actorder="static")),
        "w8a16, by channel": config(group(8, None, scale_dtype=None)),
        "w8a16, asymmetric": config(group(8, 64, symmetric=False)),
    }

    def store(self, weight_NK, config):
        weights = config["config_groups"]["group_0"]["weights"]
        bits, (rows, columns) = weights["num_bits"], weight_NK.shape
        size, half = weights["group_size"] or columns, 2 ** (bits - 1)
        groups = torch.arange(columns) // size
        if weights.get("actorder") == "group":
            groups = groups[torch.randperm(columns, generator=torch.Generator().manual_seed(rows))]
        scales_NG = torch.empty(rows, columns // size, dtype=torch.bfloat16)
        zeros_NG = torch.zeros(scales_NG.shape, dtype=torch.int64)
        for place in range(columns // size):
            part = weight_NK[:, groups == place].double()
            low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
            reach = high - low if not weights["symmetric"] else 2 * torch.maximum(high, -low)
            scales_NG[:, place] = reach / (2**bits - 1)
            if not weights["symmetric"]:
                zeros = (-half - low / scales_NG[:, place].double()).round()
                zeros_NG[:, place] = zeros.clamp(-half, half - 1).long()
        scale_NK, zero_NK = scales_NG.double()[:, groups], zeros_NG[:, groups]
        signed_NK = (weight_NK.double() / scale_NK + zero_NK).round().clamp(-half, half - 1)
        packed = [words(row, bits) for row in (signed_NK.long() + half).tolist()]
        tensors = {
            "weight_packed": torch.tensor(packed, dtype=torch.int32),
            "weight_scale": scales_NG,
            "weight_shape": torch.tensor([rows, columns]),
        }
        if not weights["symmetric"]:
            columns_of_words = [words(codes, bits) for codes in (zeros_NG + half).T.tolist()]
            zero_point = torch.tensor(columns_of_words, dtype=torch.int32).T.contiguous()
            tensors["weight_zero_point"] = zero_point
        if weights.get("actorder") == "group":
            tensors["weight_g_idx"] = groups.int()
        return tensors, (signed_NK - zero_NK) * scale_NK


def test_targets_and_what_is_ignored() -> None:
    some, rest = group(8, targets=["re:.*down_proj$", "o_proj"]), group()
    ignore = ["lm_head", "re:.*layers\\.0\\..*", "model.layers.1.mlp.gate"]
    found = Config.read(config(rest, some, ignore=ignore))
    bits = {
        "model.layers.0.mlp.down_proj": None,
        "model.layers.1.mlp.gate": None,
        "model.layers.1.mlp.gate_proj": 4,
        "model.layers.1.mlp.down_proj": 8,
        "model.layers.1.self_attn.o_proj": 8,
    }
    schemes = {name: found.scheme(name) for name in bits}
    assert {name: s.bits if s else None for name, s in schemes.items()} == bits


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (config(), "config_groups is {}"),
        (config(group(3)), r"group_0\.weights\.num_bits is 3, expected one of 4, 8"),
        (config(group(type="float")), "weights.type is 'float'"),
        (config(group(strategy="block")), "weights.strategy is 'block'"),
        (config(group(4, -5)), "weights.group_size is -5"),
        (config(group(), format="int-quantized"), "format is 'int-quantized'"),
        (config(group() | {"input_activations": {"num_bits": 8}}), "input_activations is"),
        (config(group(), kv_cache_scheme={"num_bits": 8}), "kv_cache_scheme is"),
    ],
)
def test_what_is_not_read_is_refused(wrong, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        Config.read(wrong)


def matrix(**changes) -> PackedMatrix:
    usual = {"bits": 4, "group_size": 32, "symmetric": False, "ordered": False, "targets": ()}
    return PackedMatrix(Scheme(**usual | changes))


@pytest.mark.parametrize(
    ("shape", "message"), [((64, 80), "groups of 32 do not"), ((60, 256), "60 outputs of 4 bits")]
)
def test_shapes_that_do_not_pack_are_refused(shape, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        matrix().tensors("layer.proj", *shape)


def test_a_shape_that_contradicts_the_weight_is_refused() -> None:
    symmetric = matrix(symmetric=True)
    stored = {
        name: torch.zeros(s.shape, dtype=getattr(torch, s.storage[0]))
        for name, s in symmetric.tensors("layer.proj", 8, 64).items()
    }
    with pytest.raises(CheckpointError, match=r"layer\.proj\.weight_shape is \[0, 0\]"):
        symmetric.weight("layer.proj", stored)
