"""When the class for any architecture is taken, what it says, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from architectures import CONFIGS

from inferd.config.engine import EngineConfig
from inferd.contracts.model import ModelConfig
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.host.host import Host
from inferd.runner.choices import model_class
from inferd.runner.explain import candidates_for
from inferd.testing.drive import build_context, load_model
from inferd.testing.oracle import Held
from inferd.testing.tiny import BASE, tiny_config, write_checkpoint
from inferd_models_transformers.interface import Mask
from inferd_models_transformers.model import TransformersForCausalLM
from inferd_models_transformers.weights import ExpertsWeights

SMALL = {"num_hidden_layers": 1}
REFUSED = {
    "BertLMHeadModel": ({"model_type": "bert", **SMALL}, "neither causal nor a window"),
    "BloomForCausalLM": ({"model_type": "bloom"}, "position_ids"),
    "DiffLlamaForCausalLM": ({"model_type": "diffllama", **SMALL}, "attends 2 times"),
    "GptOssForCausalLM": ({"model_type": "gpt_oss", **SMALL}, "s_aux"),
    "GraniteMoeHybridForCausalLM": ({"model_type": "granitemoehybrid"}, "recurrent state"),
    "MambaForCausalLM": ({"model_type": "mamba"}, "recurrent state"),
    "BartForCausalLM": ({"model_type": "bart"}, "encoder-decoder"),
    "RobertaForCausalLM": (
        {"model_type": "roberta", "is_decoder": True},
        "counts positions from its padding token",
    ),
    "LlamaForCausalLM": (
        {"model_type": "llama", "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        "longest row of a batch",
    ),
    "NoSuchForCausalLM": ({}, "has no causal language model 'NoSuchForCausalLM'"),
}


def config_of(architecture, hf):
    return ModelConfig(architecture, hf, torch.float32, 64, 320)


@pytest.mark.parametrize("architecture", REFUSED)
def test_what_it_cannot_is_refused_with_the_reason(architecture):
    hf, reason = REFUSED[architecture]
    config = config_of(architecture, hf)
    verdict = TransformersForCausalLM.supports(config)
    assert not verdict
    assert reason in verdict.reason
    with pytest.raises(UnsupportedModel):
        TransformersForCausalLM.attention_request(config, "cpu", 16)


def test_a_mask_is_taken_whole():
    mask = Mask(lambda *_: True, None)
    assert mask[:, :, slice(0, None), :] is mask
    with pytest.raises(TypeError, match="part of a mask"):
        mask[:, :, slice(-1, None), :]


def test_it_is_taken_where_no_plugin_has_the_name():
    llama = config_of("LlamaForCausalLM", tiny_config("LlamaForCausalLM"))
    seed = config_of("SeedOssForCausalLM", {**BASE, **CONFIGS["SeedOssForCausalLM"]})
    host = Host.from_selection("all")
    assert model_class(host, llama) is not TransformersForCausalLM
    assert model_class(host, seed) is TransformersForCausalLM
    assert model_class(Host.from_selection("no:llama"), llama) is TransformersForCausalLM
    with pytest.raises(UnsupportedModel, match="no plugin implements"):
        model_class(Host.from_selection("no:models_transformers"), seed)


def test_why_says_what_it_would_do(tmp_path):
    write_checkpoint(tmp_path)
    found = {c.entry.name: c.verdict for c in candidates_for(Host(), "models", str(tmp_path))}
    assert found["LlamaForCausalLM"]
    assert "runs through transformers" in found["*"].reason
    assert not found["MistralForCausalLM"]


def test_missing_and_unexpected_tensors_are_named():
    hf = {**BASE, **CONFIGS["SeedOssForCausalLM"]}
    build = build_context(hf, max_model_len=64, vocab_size=320, architecture="SeedOssForCausalLM")
    with pytest.raises(CheckpointError, match=r"missing: .*self_attn.q_proj.weight"):
        load_model(TransformersForCausalLM, build, Held([]))


def test_the_banner_has_a_note(tmp_path):
    from inferd.runner.build import build, summary

    write_checkpoint(tmp_path)
    config = EngineConfig.of(str(tmp_path), plugins="no:llama", num_blocks=32)
    built = build(config, Host.from_selection("no:llama"))
    assert "through transformers" in summary(built)["model_note"]
    json.dumps(summary(built))


def test_linears_norms_and_experts_are_those_of_inferd():
    hf = {**BASE, **CONFIGS["Dots1ForCausalLM"]}
    build = build_context(hf, max_model_len=64, vocab_size=320, architecture="Dots1ForCausalLM")
    model = TransformersForCausalLM(build)
    kinds = Counter(type(module).__name__ for module in model.modules())
    assert kinds["TokenNorm"] == 4 * 4 + 1  # two of a layer, two of its heads, and the last one
    assert kinds["Linear"] == 0
    assert Counter(map(type, model.targets().values()))[ExpertsWeights] == 3
    assert model.recordable
