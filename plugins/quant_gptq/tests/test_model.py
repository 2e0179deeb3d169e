"""A whole model from packed weights says what it says from the dequantized ones."""

from __future__ import annotations

import json

import pytest
from gptq_writer import store
from safetensors.torch import load_file, save_file

from inferd import LLM, SamplingParams
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing.tiny import write_checkpoint

PLUGINS = "none,llama,gptq"  # nothing is compiled
SIZES = {"hidden_size": 96, "intermediate_size": 128, "num_hidden_layers": 2}
CONFIG = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": 32,
    "desc_act": True,
    "sym": False,
    "checkpoint_format": "gptq",
    "dynamic": {r".*\.k_proj": {"bits": 8}, r"-:.*\.1\..*down_proj": {}},
}


@pytest.fixture
def checkpoints(tmp_path):
    """(packed, dequantized): q and k of a layer differ in bits, one matrix is not packed."""
    packed, dense = tmp_path / "packed", tmp_path / "dense"
    for folder in (packed, dense):
        config = write_checkpoint(folder, **SIZES)
    tensors = load_file(dense / "model.safetensors")
    stored = dict(tensors)
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        if name == "model.layers.1.mlp.down_proj.weight":
            continue
        found, values = store(
            stored.pop(name), 8 if "k_proj" in name else 4, 32, sym=False, version=1, act_order=True
        )
        stored |= {name.replace("weight", suffix): tensor for suffix, tensor in found.items()}
        tensors[name] = values.float()
    save_file(tensors, dense / "model.safetensors")
    save_file(stored, packed / "model.safetensors")
    (packed / "config.json").write_text(json.dumps(config | {"quantization_config": CONFIG}))
    return packed, dense


def test_the_same_as_dequantized(checkpoints):
    params = SamplingParams(temperature=0, max_tokens=12, logprobs=3)
    answers = []
    for folder in checkpoints:
        with LLM(str(folder), dtype="float32", plugins=PLUGINS) as llm:
            (output,) = llm.generate([{"prompt_token_ids": [5, 80, 200, 7, 31]}], params)
        answers.append(output.outputs[0])
    packed, dense = answers
    assert packed.token_ids == dense.token_ids
    for mine, theirs in zip(packed.logprobs, dense.logprobs, strict=True):
        assert mine.keys() == theirs.keys()
        for token, value in mine.items():
            assert value.logprob == pytest.approx(theirs[token].logprob, abs=1e-3)


def test_weights_take_what_is_packed(checkpoints):
    """Those of 8 bits are float32: torch has no op for them."""
    matrices = [(256, 96), (96, 96), (32, 96), (96, 96)] * 2 + [(96, 128)]  # gate_up, q, v, o; down
    sizes = []
    for folder in checkpoints:
        with LLM(str(folder), dtype="float32", plugins=PLUGINS) as llm:
            sizes.append(llm.info.summary["weight_bytes"])
    packed, dense = sizes
    assert dense == sum(t.nbytes for t in load_file(checkpoints[1] / "model.safetensors").values())
    saved = 0
    for rows, columns in matrices:  # a group has two bytes of scale and one of zero point
        codes, groups, order = rows * columns // 2, rows * columns // 32 * 3, 8 * columns
        saved += 4 * rows * columns - codes - groups - order
    assert packed == dense - saved


def test_missing_scales_are_named_before_anything_is_read(checkpoints):
    file = checkpoints[0] / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.self_attn.v_proj.scales"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"missing: .*v_proj\.scales"):
        LLM(str(checkpoints[0]), plugins=PLUGINS)


def test_a_shard_that_ends_too_soon_is_refused(checkpoints):
    file = checkpoints[0] / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated"):
        LLM(str(checkpoints[0]), plugins=PLUGINS)


def test_the_configuration_may_stand_in_a_file_of_its_own(checkpoints):
    """As auto-gptq wrote it: without the method's name, and none in config.json."""
    folder = checkpoints[0]
    config = json.loads((folder / "config.json").read_text())
    stored = config.pop("quantization_config")
    del stored["quant_method"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "quantize_config.json").write_text(json.dumps(stored))
    with LLM(str(folder), dtype="float32", plugins=PLUGINS) as llm:
        assert llm.info.summary["quantization"] == "gptq"


def test_bits_that_nobody_packs_are_refused(checkpoints):
    path = checkpoints[0] / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"quantization_config": CONFIG | {"bits": 5}}))
    with pytest.raises(UnsupportedModel, match="bits is 5"):
        LLM(str(checkpoints[0]), plugins=PLUGINS)
