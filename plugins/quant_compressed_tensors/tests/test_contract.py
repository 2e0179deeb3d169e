"""pack-quantized, number by number, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing import QuantizationContract
from inferd_quant_compressed_tensors.config import Config, Scheme
from inferd_quant_compressed_tensors.matrix import PackedMatrix
from inferd_quant_compressed_tensors.method import Int8Method

E4M3 = torch.float8_e4m3fn


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


def eight_bits(kind, strategy, inputs, written=None):
    """A group of the formats that are stored plain."""
    weights = {"num_bits": 8, "type": kind, "symmetric": True, "strategy": strategy}
    activations = {"num_bits": 8, "type": kind, "symmetric": True, "strategy": inputs}
    activations["dynamic"] = inputs != "tensor"
    if strategy == "block":
        weights["block_structure"] = [128, 128]
        activations["group_size"] = 128
    found = config({"weights": weights, "input_activations": activations, "targets": ["Linear"]})
    return {**found, "format": written or f"{kind}-quantized"}


class TestEightBits(QuantizationContract):
    plugin = "compressed_tensors"
    method = "compressed-tensors"
    configs = {
        "FP8 by tensor, static": eight_bits("float", "tensor", "tensor"),
        "FP8 by channel and token": eight_bits("float", "channel", "token"),
        "FP8 in blocks": eight_bits("float", "block", "group"),
        "int8 by channel and token": eight_bits("int", "channel", "token"),
        "int8 by channel, static": eight_bits(
            "int", "channel", "tensor", written="naive-quantized"
        ),
    }

    def store(self, weight_NK, config):
        group = config["config_groups"]["group_0"]
        weights, inputs = group["weights"], group["input_activations"]
        rows, columns = weight_NK.shape
        block = {"tensor": (rows, columns), "channel": (1, columns), "block": (128, 128)}
        height, width = block[weights["strategy"]]
        kind, most = (E4M3, 448) if weights["type"] == "float" else (torch.int8, 127)
        largest = F.max_pool2d(weight_NK.abs()[None].double(), (height, width), ceil_mode=True)[0]
        scales = (largest / most).float()
        scale_NK = scales.double().repeat_interleave(height, 0)[:rows]
        scale_NK = scale_NK.repeat_interleave(width, 1)
        codes_NK = weight_NK.double() / scale_NK
        codes_NK = codes_NK.round() if kind == torch.int8 else codes_NK.float()
        values_NK = codes_NK.to(kind)
        exact_NK = values_NK.double() * scale_NK
        if weights["strategy"] == "tensor":
            scales = scales[0, 0]  # and not [1]: both are written
        tensors = {"weight": values_NK, "weight_scale": scales}
        if not inputs["dynamic"]:
            tensors["input_scale"] = torch.tensor(0.02)
        return tensors, exact_NK


class TestInt8(QuantizationContract):
    """Dense checkpoints, rounded when they are loaded."""

    plugin = "compressed_tensors"
    method = "int8"
    configs = {"dense": {}}

    def store(self, weight_NK, config):
        scales = (weight_NK.float().abs().amax(1, keepdim=True) / 127).clamp_min(1e-30)
        codes = (weight_NK.float() / scales).round().clamp(-127, 127)
        return {"weight": weight_NK}, codes.double() * scales.double()


def test_a_packed_checkpoint_is_not_rounded_again() -> None:
    with pytest.raises(UnsupportedModel, match="this one is stored as 'compressed-tensors'"):
        Int8Method.from_config(config(group()))


def changed(found, place, **changes):
    """With other entries of the weights or the input activations."""
    found = copy.deepcopy(found)
    found["config_groups"]["group_0"][place] |= changes
    return found


FP8 = eight_bits("float", "channel", "token")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (changed(FP8, "weights", num_bits=4), "weights.num_bits is 4, expected one of 8"),
        (changed(FP8, "weights", symmetric=False), "weights.symmetric is False"),
        (changed(FP8, "weights", strategy="group"), "weights.strategy is 'group'"),
        (changed(FP8, "input_activations", type="int"), "input_activations.type is 'int'"),
        (changed(FP8, "input_activations", strategy="tensor"), "strategy is 'tensor'"),
        (changed(FP8, "input_activations", dynamic=False), "strategy is 'token'"),
        (changed(eight_bits("float", "block", "group"), "weights", block_structure=[64, 64]),
         r"block_structure is \[64, 64\]"),
        (changed(eight_bits("float", "block", "group"), "input_activations", group_size=64),
         "group_size is 64"),
        (eight_bits("int", "block", "group"), "weights.strategy is 'block'"),
        ({**FP8, "kv_cache_scheme": {"num_bits": 4}}, "kv_cache_scheme is"),
    ],
)  # fmt: skip
def test_schemes_of_8_bits_that_are_refused(wrong, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        Config.read(wrong)


def test_a_cache_in_fp8_is_taken_note_of() -> None:
    kept = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}
    (scheme,) = Config.read({**FP8, "kv_cache_scheme": kept}).schemes
    assert scheme.format == "fp8_row"


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
        (config(group(), format="marlin-24"), "format is 'marlin-24'"),
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
