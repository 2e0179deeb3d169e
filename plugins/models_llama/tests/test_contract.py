"""The Llama family against transformers: every architecture, every field, every rope type."""

from __future__ import annotations

from inferd.testing import ModelContract
from inferd.testing.tiny import FAMILIES


def rope(kind, **parameters):
    """As transformers 5 spells it."""
    parameters |= {"rope_type": kind, "rope_theta": 700.0}
    return {"rope_theta": None, "rope_parameters": parameters}


def old_rope(kind, **parameters):
    """As checkpoints before transformers 5 spell it."""
    return {"rope_scaling": {"type": kind} | parameters}


LONG = [1.0 + 0.5 * i for i in range(8)]
ROPES = {
    "default": rope("default"),
    "linear": rope("linear", factor=2.5),
    "linear, old spelling": old_rope("linear", factor=2.5),
    "dynamic": rope("dynamic", factor=3.0) | {"max_position_embeddings": 32},
    "llama3": rope(
        "llama3",
        factor=6.0,
        low_freq_factor=1.5,
        high_freq_factor=5.0,
        original_max_position_embeddings=64,
    ),
    "yarn": rope("yarn", factor=4.0, original_max_position_embeddings=48),
    "yarn, every parameter": rope(
        "yarn",
        factor=4.0,
        original_max_position_embeddings=48,
        beta_fast=9.0,
        beta_slow=0.4,
        attention_factor=0.7,
        truncate=False,
    ),
    "yarn, mscale": rope(
        "yarn", factor=4.0, original_max_position_embeddings=48, mscale=1.7, mscale_all_dim=0.4
    ),
    "llama3 in rope_scaling": {
        "rope_theta": None,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 6.0,
            "low_freq_factor": 1.5,
            "high_freq_factor": 5.0,
            "original_max_position_embeddings": 64,
            "rope_theta": 700.0,
        },
    },
    "longrope": rope(
        "longrope",
        long_factor=LONG,
        short_factor=LONG[::-1],
        original_max_position_embeddings=48,
    ),
    "longrope, every parameter": rope(
        "longrope",
        long_factor=LONG,
        short_factor=LONG[::-1],
        original_max_position_embeddings=48,
        factor=8.0,
        attention_factor=1.4,
    ),
    "longrope, short": rope(
        "longrope",
        long_factor=LONG,
        short_factor=LONG[::-1],
        original_max_position_embeddings=200,
    ),
    "original length outside": {
        "original_max_position_embeddings": 24,
        **rope("yarn", factor=4.0, original_max_position_embeddings=48),
    },
}


PARTIAL = ("partial_rotary_factor", "rope_scaling.partial_rotary_factor")
WINDOWS = ["sliding_attention", "full_attention"] * 2


class TestLlama(ModelContract):
    plugin = "llama"
    architecture = "LlamaForCausalLM"
    config = FAMILIES["LlamaForCausalLM"]
    variants = {
        "tied": {"tie_word_embeddings": True},
        "gelu": {"hidden_act": "gelu"},
        "gelu_pytorch_tanh": {"hidden_act": "gelu_pytorch_tanh"},
        "without biases": {"attention_bias": False, "mlp_bias": False},
        "head size from the hidden size": {"head_dim": None, "hidden_size": 96},
        "as many KV heads as heads": {"num_key_value_heads": None},
        **ROPES,
    }
    cannot = {*PARTIAL, "rope_parameters.partial_rotary_factor"}
    mutations = dict.fromkeys(cannot, 0.5)

    def excused(self):
        """Nothing: this is where core's rotary layer is held to transformers, in every spelling."""
        return set()


class TestMistral(ModelContract):
    plugin = "llama"
    architecture = "MistralForCausalLM"
    config = FAMILIES["MistralForCausalLM"]
    variants = {
        "untied": {},
        "tied": {"tie_word_embeddings": True},
        "gelu": {"hidden_act": "gelu"},
        "without a window": {"sliding_window": None},
        "yarn": ROPES["yarn"],
    }


class TestQwen2(ModelContract):
    plugin = "llama"
    architecture = "Qwen2ForCausalLM"
    config = FAMILIES["Qwen2ForCausalLM"]
    variants = {
        "untied": {},
        "tied": {"tie_word_embeddings": True},
        "gelu": {"hidden_act": "gelu"},
        "a head size of its own": {"head_dim": 24},
        "windows named by layer": {"layer_types": WINDOWS},
        "windows switched off": {"use_sliding_window": False},
        "windows on all layers": {"max_window_layers": 0},
        "yarn": ROPES["yarn"],
    }


class TestQwen3(ModelContract):
    plugin = "llama"
    architecture = "Qwen3ForCausalLM"
    config = FAMILIES["Qwen3ForCausalLM"]
    variants = {
        "untied": {},
        "tied": {"tie_word_embeddings": True},
        "gelu": {"hidden_act": "gelu"},
        "without biases": {"attention_bias": False},
        "windows named by layer": {"layer_types": WINDOWS},
        "windows switched off": {"use_sliding_window": False},
        "yarn": ROPES["yarn"],
    }
