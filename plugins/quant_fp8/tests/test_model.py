"""A whole model in FP8 says what it says from the dequantized weights; a dense one is rounded."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from inferd import LLM, SamplingParams
from inferd.contracts.scaled_formats import E4M3, InputFormat, ScaledWeight
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing.tiny import write_checkpoint

PLUGINS = "none,llama,fp8"  # nothing is compiled
SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
CONFIG = {
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
    "modules_to_not_convert": ["layers.1.mlp"],
}


def blocks(weight_NK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and scales of `weight_scale_inv`."""
    rows, columns = weight_NK.shape
    scales = torch.empty(-(-rows // 128), columns // 128)
    values_NK = torch.empty(rows, columns, dtype=E4M3)
    for row in range(scales.shape[0]):
        for column in range(scales.shape[1]):
            at = slice(row * 128, row * 128 + 128), slice(column * 128, column * 128 + 128)
            scales[row, column] = weight_NK[at].abs().max() / 448
            values_NK[at] = (weight_NK[at] / scales[row, column]).to(E4M3)
    return values_NK, scales


@pytest.fixture
def checkpoints(tmp_path):
    """(FP8, dequantized)"""
    packed, dense = tmp_path / "packed", tmp_path / "dense"
    for folder in (packed, dense):
        config = write_checkpoint(folder, **SIZES)
    tensors = load_file(dense / "model.safetensors")
    stored = dict(tensors)
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        if "layers.1.mlp" in name:
            continue
        values_NK, scales = blocks(tensors[name])
        stored[name], stored[f"{name}_scale_inv"] = values_NK, scales
        weight = ScaledWeight(values_NK, scales, InputFormat(E4M3, 128), 128)
        tensors[name] = weight.dequantize(torch.float32)
    save_file(tensors, dense / "model.safetensors")
    save_file(stored, packed / "model.safetensors")
    (packed / "config.json").write_text(json.dumps(config | {"quantization_config": CONFIG}))
    return packed, dense


def answer(folder, **options):
    params = SamplingParams(temperature=0, max_tokens=12, logprobs=3)
    with LLM(str(folder), dtype="float32", plugins=PLUGINS, **options) as llm:
        (output,) = llm.generate([{"prompt_token_ids": [5, 80, 200, 7, 31]}], params)
        return output.outputs[0], llm.info.summary


def test_the_same_as_dequantized(checkpoints):
    (mine, summary), (theirs, _) = (answer(folder) for folder in checkpoints)
    assert summary["weight_formats"] == {"fp8_block": "dequantized when loaded"}
    assert mine.token_ids == theirs.token_ids
    for found, expected in zip(mine.logprobs, theirs.logprobs, strict=True):
        for token, value in found.items():
            assert value.logprob == pytest.approx(expected[token].logprob, abs=1e-3)


def test_a_dense_checkpoint_is_rounded_row_by_row(checkpoints, tmp_path):
    dense = checkpoints[1]
    tensors, rounded = load_file(dense / "model.safetensors"), tmp_path / "rounded"
    write_checkpoint(rounded, **SIZES)
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        weight = ScaledWeight.by_rows(tensors[name], E4M3)
        tensors[name] = weight.dequantize(torch.float32)
    save_file(tensors, rounded / "model.safetensors")
    (mine, summary), (theirs, _) = answer(dense, quantization="fp8"), answer(rounded)
    assert summary["quantization"] == "fp8"
    assert [list(each) for each in mine.logprobs] == [list(each) for each in theirs.logprobs]
    assert mine.cumulative_logprob == pytest.approx(theirs.cumulative_logprob, abs=1e-3)


def test_missing_scales_are_named_before_anything_is_read(checkpoints):
    file = checkpoints[0] / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.self_attn.v_proj.weight_scale_inv"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"missing: .*v_proj\.weight_scale_inv"):
        LLM(str(checkpoints[0]), plugins=PLUGINS)


def test_a_checkpoint_of_another_method_is_not_rounded_again(checkpoints):
    path = checkpoints[0] / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(UnsupportedModel, match="quant_method is 'gptq'"):
        LLM(str(checkpoints[0]), plugins=PLUGINS, quantization="fp8")
