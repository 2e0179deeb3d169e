"""The InternLM family against transformers: every architecture and every field.

transformers has no InternLM 2, whose checkpoints come with code of their own. It is a Llama whose
tensors have other names and whose q, k and v are one, so a Llama with its tensors put that way is
the oracle. InternLM 3 is a configuration of transformers' Llama.
"""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from inferd.contracts.loader import RawTensor
from inferd.testing import ModelContract

HEAD = 16
NAMES = {
    "model.embed_tokens": "model.tok_embeddings",
    "lm_head": "output",
    "self_attn.o_proj": "attention.wo",
    "input_layernorm": "attention_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "post_attention_layernorm": "ffn_norm",
}


def as_internlm2(tensors: tuple[RawTensor, ...]) -> tuple[RawTensor, ...]:
    """Renamed, and of each KV head its queries, its key and its value under each other."""
    by_name = {tensor.name: tensor for tensor in tensors}
    kept = [tensor for tensor in tensors if not re.search("[kv]_proj", tensor.name)]
    return tuple(
        fused(by_name, tensor.name) if "q_proj" in tensor.name else renamed(tensor)
        for tensor in kept
    )


def fused(by_name: dict[str, RawTensor], name: str) -> RawTensor:
    q, k, v = (by_name[name.replace("q_proj", f"{which}_proj")].data for which in "qkv")
    groups = len(k) // HEAD
    data = torch.cat([x.reshape(groups, -1, *x.shape[1:]) for x in (q, k, v)], 1).flatten(0, 1)
    return replace(
        by_name[name],
        name=name.replace("self_attn.q_proj", "attention.wqkv"),
        data=data,
        shape=tuple(data.shape),
    )


def renamed(tensor: RawTensor) -> RawTensor:
    name = tensor.name
    for llama, internlm in NAMES.items():
        name = name.replace(llama, internlm)
    return replace(tensor, name=name)


class TestInternLM2(ModelContract):
    plugin = "models_internlm"
    architecture = "InternLM2ForCausalLM"
    oracle_architecture = "LlamaForCausalLM"
    config = {
        "model_type": "llama",
        "head_dim": None,
        "hidden_size": 96,
        "attention_bias": True,
        "bias": True,
    }
    variants = {
        "with biases, gelu": {"hidden_act": "gelu"},
        "without, tied": {"attention_bias": False, "bias": False, "tie_word_embeddings": True},
    }
    inert = {"attention_bias", "mlp_bias", "head_dim"}  # of the Llama that is the oracle

    def oracle(self, variant):
        llama = super().oracle(variant)
        return replace(llama, tensors=as_internlm2(llama.tensors))


class TestInternLM3(ModelContract):
    plugin = "models_internlm"
    architecture = "InternLM3ForCausalLM"
    oracle_architecture = "LlamaForCausalLM"
    config = {"model_type": "internlm3", "qkv_bias": True, "bias": True, "num_key_value_heads": 3}
    variants = {
        "with biases, gelu": {"hidden_act": "gelu"},
        "without, tied": {"qkv_bias": False, "bias": False, "tie_word_embeddings": True},
    }
    inert = {"attention_bias", "mlp_bias"}  # transformers' names for qkv_bias and bias
