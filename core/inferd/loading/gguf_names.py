"""GGUF's names and metadata keys, and the Hugging Face ones they stand for."""

from __future__ import annotations

from typing import Any

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.loading import gguf_deepseek
from inferd.loading.gguf_experts import EXPERTS, expert_fields
from inferd.loading.gguf_keys import Reader

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen2moe": "Qwen2MoeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3moe": "Qwen3MoeForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
    "gpt-oss": "GptOssForCausalLM",
    gguf_deepseek.ARCH: "DeepseekV2ForCausalLM",  # or V3
}
MODEL_TYPES = {
    "gemma3": "gemma3_text",
    "gpt-oss": "gpt_oss",
}  # where config.json calls them otherwise
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
GEMMA3 = {  # its norms before and after attention and MLP
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
MIXTURES = EXPERTS | gguf_deepseek.LAYERS
LAYERS = {"gemma3_text": LAYER | GEMMA3} | {kind: LAYER | own for kind, own in MIXTURES.items()}
ENDINGS = {  # by architecture, tokens that end an answer
    "gpt-oss": ("<|call|>",),
    gguf_deepseek.ARCH: ("<|im_end|>",),  # of Moonlight and Kimi K2
}
BARE = (".sinks", ".e_score_correction_bias")  # tensors of a module, not modules
OFFSET_NORMS = ("gemma3_text",)  # files have norms' weights with the 1 that the model adds
GEMMA3_27B_LAYERS = 62
INTERLEAVED = ("llama", "mixtral")
PERMUTED = {  # of those: rows interleaved for llama.cpp's rotation -> key of their head count
    "attn_q": "num_attention_heads",
    "attn_k": "num_key_value_heads",
}


def hf_name(name: str, model_type: str) -> str:
    """The checkpoint name of a GGUF tensor; unknown ones keep theirs and are reported on load."""
    layer = LAYERS.get(model_type, LAYER)
    stem, _, suffix = name.rpartition(".")
    if stem in TOP:
        return f"{TOP[stem]}.{suffix}"
    parts = stem.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in layer:
        found = f"model.layers.{parts[1]}.{layer[parts[2]]}"
        return found if found.endswith(BARE) else f"{found}.{suffix}"
    return name


def hf_config(metadata: dict[str, Any], vocab_size: int, tied: bool) -> dict[str, Any]:
    """config.json's keys; raises UnsupportedModel for an architecture without a mapping."""
    arch = metadata.get("general.architecture")
    if not isinstance(arch, str) or arch not in ARCHITECTURES:
        raise UnsupportedModel(
            f"GGUF architecture {arch!r:.80} is not supported; known: {', '.join(ARCHITECTURES)}\n"
            "  other architectures come from plugins and need the model's safetensors directory"
        )
    read = Reader(metadata, arch)
    heads, hidden = read.count("attention.head_count"), read.count("embedding_length")
    head_dim = read.count("attention.key_length", max(1, hidden // heads))
    rotated = read.count("rope.dimension_count", head_dim, most=head_dim)
    config = {
        "architectures": [ARCHITECTURES[arch]],
        "model_type": MODEL_TYPES.get(arch, arch),
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": read.count("feed_forward_length"),
        "num_hidden_layers": read.count("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": read.count("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": read.count("context_length"),
        # stored as float32: 9.999999747378752e-06 means 1e-05
        "rms_norm_eps": float(f"{read.number('attention.layer_norm_rms_epsilon', 1e-6):.6g}"),
        "rope_theta": float(f"{read.number('rope.freq_base', 10000.0):.8g}"),
        "rope_scaling": _rope_scaling(read),
        "partial_rotary_factor": rotated / head_dim,
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
    }
    if arch == "gemma3":
        config |= _gemma3(read, config)
    config |= expert_fields(read, read.count("feed_forward_length"))
    config |= gguf_deepseek.latent_fields(read, config)
    for name in ("bos", "eos"):
        config[f"{name}_token_id"] = token_id(metadata, name)
    return config


def _gemma3(read: Reader, config: dict[str, Any]) -> dict[str, Any]:
    """Files do not have the scale of scores: llama.cpp knows the 27B by its number of layers."""
    by_width = config["num_hidden_layers"] == GEMMA3_27B_LAYERS
    width = config["hidden_size"] // config["num_attention_heads"]
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": width if by_width else config["head_dim"],
        "sliding_window": read.count("attention.sliding_window"),
    }


def token_id(metadata: dict[str, Any], name: str) -> int | None:
    """The id of a special token (bos, eos, unknown, padding, ...), if the file names one."""
    value = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if value is not None and (type(value) is not int or value < 0):
        raise CheckpointError(
            f"GGUF key tokenizer.ggml.{name}_token_id is {value!r:.80}, expected a token id"
        )
    return value


def end_ids(metadata: dict[str, Any]) -> list[int]:
    """Tokens that end an answer: of the sequence, of a turn and of a message (a tool call).

    The vocabulary must have been read where `ends_by_name` says so.
    """
    found = [token_id(metadata, name) for name in ("eos", "eot", "eom")]
    tokens = metadata.get("tokenizer.ggml.tokens") or []
    found += [tokens.index(name) for name in ends_by_name(metadata) if name in tokens]
    return list(dict.fromkeys(i for i in found if i is not None))


def ends_by_name(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Those of them for which there is no key."""
    return ENDINGS.get(str(metadata.get("general.architecture")), ())


def _rope_scaling(read: Reader) -> dict[str, Any] | None:
    kind = read.get("rope.scaling.type")
    if kind in (None, "none"):
        return None
    if not isinstance(kind, str):
        raise read.wrong("rope.scaling.type", kind, "a name")
    scaling = {"rope_type": kind, "factor": read.number("rope.scaling.factor", 1.0)}
    if read.get("rope.scaling.original_context_length") is not None:
        original = read.count("rope.scaling.original_context_length")
        scaling["original_max_position_embeddings"] = original
    for end in ("fast", "slow"):
        if read.get(f"rope.scaling.yarn_beta_{end}") is not None:
            scaling[f"beta_{end}"] = read.number(f"rope.scaling.yarn_beta_{end}")
    if read.arch == "gpt-oss":  # trained so; llama.cpp rounds where frequencies begin to change
        scaling["truncate"] = False
    return scaling
