"""What of a multimodal checkpoint is its language model's."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.loader import RawTensor
from inferd.loading.text_part import text_config, text_names, text_tensors
from inferd.testing.oracle import Held

TEXT = ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "lm_head.weight"]
OLDER = ["language_model.model.embed_tokens.weight"]
OLDER += ["language_model.model.layers.0.mlp.up_proj.weight", "language_model.lm_head.weight"]
NEWER = ["model.language_model.embed_tokens.weight"]
NEWER += ["model.language_model.layers.0.mlp.up_proj.weight", "lm_head.weight"]
OTHERS = ["vision_tower.patch.weight", "model.multi_modal_projector.norm.weight"]


class Named(Held):
    def names(self):
        return [tensor.name for tensor in self.tensors()]


@pytest.mark.parametrize("spelling", [TEXT, OLDER, NEWER])
def test_names_are_those_of_text_alone(spelling):
    others = [] if spelling is TEXT else OTHERS
    names = [*others, *spelling]
    assert text_names(names) == TEXT
    held = Named([RawTensor(name, (1,), "float32", torch.ones(1)) for name in names])
    assert [tensor.name for tensor in text_tensors(held)] == TEXT


def test_a_checkpoint_of_text_keeps_all_its_names():
    assert text_names([*TEXT, "model.vision.weight"]) == [*TEXT, "model.vision.weight"]


def test_the_architecture_is_that_of_the_parts_model_type():
    outer = {"architectures": ["Mistral3ForConditionalGeneration"], "dtype": "bfloat16"}
    config = text_config({**outer, "text_config": {"model_type": "mistral", "hidden_size": 64}})
    assert config["architectures"] == ["MistralForCausalLM"]
    assert (config["dtype"], config["hidden_size"]) == ("bfloat16", 64)
    config = text_config({**outer, "text_config": {"model_type": "unheard_of"}})
    assert config["architectures"] == outer["architectures"]
    named = {"model_type": "mistral", "architectures": ["OtherForCausalLM"]}
    assert text_config({**outer, "text_config": named})["architectures"] == ["OtherForCausalLM"]


def test_what_published_gemma_3_leaves_out_is_filled_in():
    inner = {"model_type": "gemma3_text", "hidden_size": 5376, "num_attention_heads": 32}
    config = text_config(
        {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": inner}
    )
    assert (config["vocab_size"], config["num_attention_heads"]) == (262_208, 32)
