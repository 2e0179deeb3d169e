"""What a configuration means, and what is refused."""

from __future__ import annotations

import pytest
import torch

from inferd.errors import CheckpointError, UnsupportedModel
from inferd_quant_gptq.config import Config, Packing
from inferd_quant_gptq.matrix import GptqMatrix

FOUR = {"bits": 4, "group_size": 128}


def test_rules_by_module() -> None:
    dynamic = {
        r"-:.*\.0\..*gate": {},
        r"+:.*\.1\.": {"bits": 8, "group_size": 64},
        r".*down": {"bits": 3},
    }
    config = Config.read({**FOUR, "dynamic": dynamic})
    assert config.packing("model.layers.0.mlp.gate_proj") is None
    assert config.packing("model.layers.1.mlp.down_proj") == Packing(8, 64, True)
    assert config.packing("model.layers.2.mlp.down_proj") == Packing(3, 128, True)
    assert config.packing("model.layers.2.mlp.up_proj") == Packing(4, 128, True)
    assert config.all_bits == {3, 4, 8}


@pytest.mark.parametrize(
    "modules",
    [[["self_attn.q_proj"], ["mlp.down_proj"]], ["self_attn.q_proj", "mlp.down_proj"]],
    ids=["nested", "flat"],
)
def test_modules_that_are_not_listed_are_dense(modules) -> None:
    listed = {"modules_in_block_to_quantize": modules}
    config = Config.read({**FOUR, **listed, "checkpoint_format": "gptq_v2"})
    assert config.packing("model.layers.0.self_attn.q_proj") == Packing(4, 128, False)
    assert config.packing("model.layers.0.self_attn.k_proj") is None


def test_null_is_what_is_usual() -> None:
    keys = ("checkpoint_format", "lm_head", "pack_dtype", "dynamic", "modules_in_block_to_quantize")
    assert Config.read(FOUR | dict.fromkeys(keys)) == Config.read(FOUR)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 5}, "bits is 5, expected one of 2, 3, 4, 8"),
        ({"bits": None}, "bits is None"),
        ({"group_size": 0}, "group_size is 0, expected -1 or"),
        ({"checkpoint_format": "marlin"}, "checkpoint_format is 'marlin', expected one of gptq"),
        ({"lm_head": True}, "lm_head is True, expected False"),
        ({"pack_dtype": "int16"}, "pack_dtype is 'int16'"),
        ({"dynamic": {".*": {"bits": 7}}}, "bits is 7"),
        ({"dynamic": {"(": {}}}, "a regular expression"),
    ],
)
def test_what_no_reader_could_mean_is_refused(change, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        Config.read(FOUR | change)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((64, 192), "groups of 128 do not divide its 192"), ((60, 256), "60 outputs of 4 bits")],
)
def test_shapes_that_do_not_pack_are_refused(shape, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        GptqMatrix(Packing(4, 128, True)).tensors("layer.proj", *shape)


def test_groups_of_different_sizes_are_refused() -> None:
    matrix = GptqMatrix(Packing(4, 32, True))
    shapes = matrix.tensors("layer.proj", 32, 64)
    stored = {name: torch.zeros(s.shape, dtype=torch.int32) for name, s in shapes.items()}
    with pytest.raises(CheckpointError, match=r"layer\.proj\.g_idx: its groups are not of 32"):
        matrix.weight("layer.proj", stored)


def test_a_zero_point_of_zero_borrows_from_its_neighbour() -> None:
    """As gptqmodel writes version 1: the words minus 0x11111111."""
    zeros = [0, 5, 0, 0, 15, 1, 8, 0]
    packed = sum(zero << 4 * place for place, zero in enumerate(zeros)) - 0x11111111
    packed &= 0xFFFFFFFF
    stored = torch.tensor([[packed - (1 << 32) if packed >> 31 else packed]], dtype=torch.int32)
    found_NG = GptqMatrix(Packing(4, 32, True))._zeros(stored)
    assert found_NG is not None
    assert found_NG.flatten().tolist() == zeros
