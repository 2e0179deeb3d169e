"""A Hugging Face directory (config, safetensors, tokenizer) from a GGUF's dequantized weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from bench.peers.gguf_source import Array, Source
from bench.peers.hf_tokenizer import build_tokenizer, tokenizer_config
from safetensors.torch import save_file

OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_hf(source: Source, folder: Path, dtype: torch.dtype) -> None:
    """Write `folder`, with every weight rounded once from fp32 to `dtype`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for gguf_name, array in source.tensors():
        name, ordered = _translate(source, gguf_name, array)
        weights[name] = torch.from_numpy(ordered).to(dtype)
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    vocab_size = weights["model.embed_tokens.weight"].shape[0]
    tied = "lm_head.weight" not in weights
    _write_json(folder / "config.json", _config(source, vocab_size, tied, dtype))
    _write_json(folder / "generation_config.json", _special_ids(source))
    build_tokenizer(source).save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", tokenizer_config(source))


def _translate(source: Source, gguf_name: str, array: Array) -> tuple[str, Array]:
    """The tensor under its Hugging Face name, rows in Hugging Face's order."""
    if gguf_name in OUTER:
        return OUTER[gguf_name], array
    parts = gguf_name.split(".")
    if len(parts) != 4 or parts[0] != "blk" or parts[2] not in INNER:
        raise SystemExit(f"tensor {gguf_name!r} has no Hugging Face name in this converter")
    _, layer, noun, kind = parts
    if noun in {"attn_q", "attn_k"}:
        array = _halves(array, source.num_heads if noun == "attn_q" else source.num_kv_heads)
    return f"model.layers.{layer}.{INNER[noun]}.{kind}", array


def _halves(array: Array, num_heads: int) -> Array:
    """GGUF pairs rotary rows as (0,1),(2,3)...; Hugging Face rotates (0,d/2),(1,d/2+1)..."""
    rows, width = array.shape
    pairs = array.reshape(num_heads, rows // num_heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(rows, width).copy()


def _config(source: Source, vocab_size: int, tied: bool, dtype: torch.dtype) -> dict[str, Any]:
    hidden_size = source.shape_value("embedding_length")
    epsilon = source.shape_value("attention.layer_norm_rms_epsilon")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden_size,
        "intermediate_size": source.shape_value("feed_forward_length"),
        "num_hidden_layers": source.shape_value("block_count"),
        "num_attention_heads": source.num_heads,
        "num_key_value_heads": source.num_kv_heads,
        "head_dim": source.shape_value("attention.key_length", hidden_size // source.num_heads),
        "vocab_size": vocab_size,
        "max_position_embeddings": source.shape_value("context_length"),
        "rms_norm_eps": float(f"{epsilon:.6g}"),  # GGUF keeps it in fp32: 9.99999975e-06
        "rope_theta": source.shape_value("rope.freq_base", 10000.0),
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "torch_dtype": str(dtype).removeprefix("torch."),
        **_special_ids(source),
    }


def _special_ids(source: Source) -> dict[str, Any]:
    return {
        "bos_token_id": source.token_value("bos_token_id"),
        "eos_token_id": source.token_value("eos_token_id"),
        "pad_token_id": source.token_value("padding_token_id"),
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
