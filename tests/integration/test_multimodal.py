"""The text of a multimodal checkpoint is served as if it had been published alone."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from inferd import LLM, SamplingParams
from inferd.testing.tiny import write_checkpoint

PREFIXES = {"older": "language_model.model.", "newer": "model.language_model."}


def answer(folder):
    params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
    with LLM(str(folder), dtype="float32", num_blocks=32) as llm:
        return llm.generate([list(range(5, 40))], params)[0].outputs[0].token_ids


@pytest.mark.parametrize("spelling", PREFIXES)
def test_its_text_is_what_it_would_be_alone(tmp_path, spelling):
    config = write_checkpoint(tmp_path)
    alone = answer(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = {
        name.replace("model.", PREFIXES[spelling], 1): tensor
        for name, tensor in load_file(file).items()
    }
    tensors["vision_tower.patch.weight"] = torch.ones(3, 3)
    save_file(tensors, file, metadata={"format": "pt"})
    inner = {key: value for key, value in config.items() if key != "architectures"}
    outer = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"}
    outer |= {"text_config": inner, "vision_config": {"hidden_size": 3}}
    (tmp_path / "config.json").write_text(json.dumps(outer))
    assert answer(tmp_path) == alone
