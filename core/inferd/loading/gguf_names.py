"""GGUF's names and metadata keys, and the Hugging Face ones they stand for."""

from __future__ import annotations

from typing import Any

from inferd.errors import UnsupportedModel

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
PERMUTED = ("attn_q", "attn_k")  # llama only: rows interleaved for llama.cpp's rotation


def hf_name(name: str) -> str:
    """The checkpoint name of a GGUF tensor; unknown ones keep theirs and are reported on load."""
    stem, _, suffix = name.rpartition(".")
    if stem in TOP:
        return f"{TOP[stem]}.{suffix}"
    parts = stem.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in LAYER:
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{suffix}"
    return name


def hf_config(metadata: dict[str, Any], vocab_size: int, tied: bool) -> dict[str, Any]:
    """config.json's keys; raises UnsupportedModel for an architecture without a mapping."""
    arch = metadata.get("general.architecture")
    if arch not in ARCHITECTURES:
        raise UnsupportedModel(
            f"GGUF architecture {arch!r} is not supported; known: {', '.join(ARCHITECTURES)}"
        )

    def read(key: str, default: Any = None) -> Any:
        return metadata.get(f"{arch}.{key}", default)

    heads, hidden = read("attention.head_count"), read("embedding_length")
    config = {
        "architectures": [ARCHITECTURES[arch]],
        "model_type": arch,
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": read("feed_forward_length"),
        "num_hidden_layers": read("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": read("attention.head_count_kv", heads),
        "head_dim": read("attention.key_length") or hidden // heads,
        "max_position_embeddings": read("context_length"),
        # stored as float32: 9.999999747378752e-06 means 1e-05
        "rms_norm_eps": float(f"{read('attention.layer_norm_rms_epsilon', 1e-6):.6g}"),
        "rope_theta": read("rope.freq_base", 10000.0),
        "rope_scaling": _rope_scaling(read),
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
    }
    for name in ("bos", "eos"):
        config[f"{name}_token_id"] = metadata.get(f"tokenizer.ggml.{name}_token_id")
    return config


def _rope_scaling(read: Any) -> dict[str, Any] | None:
    kind = read("rope.scaling.type")
    if kind in (None, "none"):
        return None
    return {
        "rope_type": kind,
        "factor": read("rope.scaling.factor", 1.0),
        "original_max_position_embeddings": read("rope.scaling.original_context_length"),
    }
