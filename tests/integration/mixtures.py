"""A random mixture of experts twice: as GGUF, and as a directory with its dequantized values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from bench.mixture_gguf import Kind, Stored, draw, write
from safetensors.torch import save_file

EXPERTS, HIDDEN, INNER, SHARED, HEADS, KV_HEADS, HEAD, LAYERS, VOCAB = (
    4,
    256,
    512,
    256,
    4,
    2,
    64,
    3,
    96,
)
KINDS = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")


class Family(NamedTuple):
    arch: gguf.MODEL_ARCH
    architecture: str
    config: Mapping[str, Any]  # what config.json has beside COMMON
    metadata: Mapping[str, Any]  # what the GGUF has beside SHAPE
    router: str
    experts: tuple[str, str, str]  # Hugging Face's names within the router's module


COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "num_experts_per_tok": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHAPE = {
    "block_count": LAYERS,
    "context_length": 256,
    "embedding_length": HIDDEN,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 500.0,
    "expert_count": EXPERTS,
    "expert_used_count": 2,
}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 64,
    "truncate": False,
}
QWEN = {"num_experts": EXPERTS, "moe_intermediate_size": INNER, "intermediate_size": 2 * INNER}
FAMILIES = {
    "llama": Family(
        gguf.MODEL_ARCH.LLAMA,
        "MixtralForCausalLM",
        {"model_type": "mixtral", "num_local_experts": EXPERTS, "intermediate_size": INNER},
        {"feed_forward_length": INNER},
        "block_sparse_moe.gate",
        ("w1", "w3", "w2"),
    ),
    "qwen2moe": Family(
        gguf.MODEL_ARCH.QWEN2MOE,
        "Qwen2MoeForCausalLM",
        QWEN
        | {"model_type": "qwen2_moe", "shared_expert_intermediate_size": SHARED}
        | {"norm_topk_prob": False},
        {"feed_forward_length": SHARED, "expert_feed_forward_length": INNER},
        "mlp.gate",
        ("gate_proj", "up_proj", "down_proj"),
    ),
    "qwen3moe": Family(
        gguf.MODEL_ARCH.QWEN3MOE,
        "Qwen3MoeForCausalLM",
        QWEN | {"model_type": "qwen3_moe", "norm_topk_prob": True, "head_dim": HEAD},
        {"feed_forward_length": 2 * INNER, "attention.key_length": HEAD},
        "mlp.gate",
        ("gate_proj", "up_proj", "down_proj"),
    ),
    "gpt-oss": Family(
        gguf.MODEL_ARCH.GPT_OSS,
        "GptOssForCausalLM",
        {"model_type": "gpt_oss", "num_local_experts": EXPERTS, "intermediate_size": INNER}
        | {"head_dim": HEAD, "sliding_window": 8, "rope_scaling": YARN},
        {"feed_forward_length": INNER, "expert_feed_forward_length": INNER}
        | {"attention.key_length": HEAD, "attention.sliding_window": 8}
        | {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}
        | {"rope.scaling.original_context_length": 64},
        "mlp.router",
        ("gate_proj", "up_proj", "down_proj"),
    ),
}


def write_both(folder: Path, arch: str, kinds: Mapping[str, Kind], default: Kind) -> Path:
    """The file; the directory is `folder`. Tensors are of the kind that a word in `kinds` names."""
    family, rng = FAMILIES[arch], np.random.default_rng(7)
    names = gguf.get_tensor_name_map(family.arch, LAYERS)
    floats, stored = {}, {}
    for name, shape in shapes(family):
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        theirs += ".weight" * name.endswith(".sinks")
        kind = next((kind for word, kind in kinds.items() if word in theirs), default)
        kind = Kind.F32 if "gate_inp" in theirs or "bias" in theirs else kind
        drawn = draw(rng, shape, kind, gain(name))
        floats |= dict(of_directory(name, torch.from_numpy(drawn.values.copy())))
        stored[theirs] = of_file(arch, theirs, drawn)
    folder.mkdir()
    floats = joined(floats) if arch == "gpt-oss" else floats
    save_file(
        {name: value.contiguous() for name, value in floats.items()}, folder / "model.safetensors"
    )
    config = COMMON | family.config | {"architectures": [family.architecture]}
    (folder / "config.json").write_text(json.dumps(config))
    return write(folder.with_suffix(".gguf"), arch, SHAPE | family.metadata, stored)


def shapes(family: Family) -> Iterator[tuple[str, tuple[int, ...]]]:
    """By Hugging Face's names, all experts of a layer in one."""
    kv, qwen2 = KV_HEADS * HEAD, family.arch == gguf.MODEL_ARCH.QWEN2MOE
    gpt_oss = family.arch == gguf.MODEL_ARCH.GPT_OSS
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (HIDDEN,)
        yield f"{at}.post_attention_layernorm.weight", (HIDDEN,)
        for part, rows in (("q", HEADS * HEAD), ("k", kv), ("v", kv)):
            yield f"{at}.self_attn.{part}_proj.weight", (rows, HIDDEN)
            if qwen2 or gpt_oss:
                yield f"{at}.self_attn.{part}_proj.bias", (rows,)
        yield f"{at}.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD)
        if gpt_oss:
            yield f"{at}.self_attn.o_proj.bias", (HIDDEN,)
            yield f"{at}.self_attn.sinks", (HEADS,)
            yield f"{at}.{family.router}.bias", (EXPERTS,)
        if family.arch == gguf.MODEL_ARCH.QWEN3MOE:
            yield f"{at}.self_attn.q_norm.weight", (HEAD,)
            yield f"{at}.self_attn.k_norm.weight", (HEAD,)
        yield f"{at}.{family.router}.weight", (EXPERTS, HIDDEN)
        module = f"{at}.{family.router.rpartition('.')[0]}.experts"
        gate, up, down = family.experts
        yield f"{module}.{gate}.weight", (EXPERTS, INNER, HIDDEN)
        yield f"{module}.{up}.weight", (EXPERTS, INNER, HIDDEN)
        yield f"{module}.{down}.weight", (EXPERTS, HIDDEN, INNER)
        if gpt_oss:
            yield f"{module}.{gate}.bias", (EXPERTS, INNER)
            yield f"{module}.{up}.bias", (EXPERTS, INNER)
            yield f"{module}.{down}.bias", (EXPERTS, HIDDEN)
        if qwen2:
            yield f"{at}.mlp.shared_expert_gate.weight", (1, HIDDEN)
            yield f"{at}.mlp.shared_expert.gate_proj.weight", (SHARED, HIDDEN)
            yield f"{at}.mlp.shared_expert.up_proj.weight", (SHARED, HIDDEN)
            yield f"{at}.mlp.shared_expert.down_proj.weight", (HIDDEN, SHARED)


def gain(name: str) -> float:
    """Embeddings and the head spread more, and so do scores."""
    if "embed" in name or "lm_head" in name:
        return 2.0
    return 1.3 if "q_proj" in name or "k_proj" in name else 1.0


def of_directory(name: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Each expert has tensors of its own."""
    if ".experts." not in name:
        yield name, value
        return
    for expert, each in enumerate(value):
        yield name.replace(".experts.", f".experts.{expert}."), each


def of_file(arch: str, name: str, drawn: Stored) -> Stored:
    """As llama.cpp's converter has it: one row is a vector, others are in its rotation's order."""
    heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(name.split(".")[-2])
    data = drawn.data
    if "gate_inp_shexp" in name:
        data = data[0]
    if arch == "llama" and heads:
        data = data.reshape(heads, 2, HEAD // 2, -1).swapaxes(1, 2).reshape(data.shape)
    return Stored(data, drawn.kind)


def joined(floats: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As gpt-oss' directories have experts: all in one tensor, gate and up row by row, turned."""
    found = {name: value for name, value in floats.items() if ".experts." not in name}
    for layer in range(LAYERS):
        module = f"model.layers.{layer}.mlp.experts"

        def part(name: str, module: str = module) -> torch.Tensor:
            return torch.stack([floats[f"{module}.{expert}.{name}"] for expert in range(EXPERTS)])

        for suffix, kind in (("weight", ""), ("bias", "_bias")):
            both = torch.stack((part(f"gate_proj.{suffix}"), part(f"up_proj.{suffix}")), 2)
            for name, rows in (
                ("gate_up_proj", both.flatten(1, 2)),
                ("down_proj", part(f"down_proj.{suffix}")),
            ):
                turned = rows.transpose(1, 2) if suffix == "weight" else rows
                found[f"{module}.{name}{kind}"] = turned
    return found
