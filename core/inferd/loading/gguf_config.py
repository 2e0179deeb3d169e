"""config.json's keys from a GGUF file: from its metadata, and what only its tensors tell."""

from __future__ import annotations

import math
import mmap
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from inferd.errors import CheckpointError
from inferd.loading.gguf_deepseek import LATENT
from inferd.loading.gguf_deepseek_shapes import check_layers
from inferd.loading.gguf_header import GgufHeader, TensorInfo, read_header
from inferd.loading.gguf_names import hf_config, hf_name
from inferd.loading.mapped import open_mapped

FLOAT32, FLOAT16, BFLOAT16 = 0, 1, 30  # ggml types
PLAIN = (FLOAT32, FLOAT16, BFLOAT16)
STORAGE = {  # of `gguf_blocks.FORMATS`, which needs torch
    2: "gguf_q4_0",
    3: "gguf_q4_1",
    6: "gguf_q5_0",
    7: "gguf_q5_1",
    8: "gguf_q8_0",
    10: "gguf_q2_k",
    11: "gguf_q3_k",
    12: "gguf_q4_k",
    13: "gguf_q5_k",
    14: "gguf_q6_k",
    39: "gguf_mxfp4",
}


def open_config(path: Path) -> dict[str, Any]:
    """`read_config` of a file whose weights are not needed."""
    with open_mapped(path) as data:
        return read_config(read_header(data, path, strings=False), data, path)


def read_config(header: GgufHeader, data: mmap.mmap, path: Path) -> dict[str, Any]:
    """Raises UnsupportedModel for what has no mapping, CheckpointError for missing keys."""
    tensors = header.tensors
    embedding = tensors.get("token_embd.weight")
    if embedding is None:
        raise CheckpointError(f"{path}: tensor 'token_embd.weight' is missing")
    tied = "output.weight" not in tensors
    try:
        config = hf_config(header.metadata, embedding.shape[0], tied)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    _check_sizes(config, tensors, path)
    if config["model_type"] in LATENT:
        check_layers(header, config, path)
    config["torch_dtype"] = {FLOAT32: "float32", FLOAT16: "float16"}.get(embedding.kind, "bfloat16")
    if config["model_type"] == "llama":  # the others' biases belong to the architecture
        config["attention_bias"] = "blk.0.attn_q.bias" in tensors
        config["mlp_bias"] = "blk.0.ffn_gate.bias" in tensors
    kinds = Counter(info.kind for info in tensors.values() if info.kind not in PLAIN)
    if kinds:
        storage = STORAGE.get(kinds.most_common(1)[0][0])
        config["quantization_config"] = {
            "quant_method": "gguf",
            "storage": storage,
            "tensors": _storages(tensors, config),
        }
    factors = tensors.get("rope_freqs.weight")
    if factors is not None:
        config["rope_scaling"] = _by_factors(_float32_values(factors, data, path), config, path)
    return config


def _storages(tensors: dict[str, TensorInfo], config: dict[str, Any]) -> dict[str, str | None]:
    """Of matrices, by the names of their modules; a tied head is what the embedding is."""
    found = {
        hf_name(name, config["model_type"]).removesuffix(".weight"): STORAGE.get(info.kind)
        for name, info in tensors.items()
        if len(info.shape) > 1
    }
    if config["model_type"] in LATENT:  # unpacked when they are loaded
        layers = range(config["num_hidden_layers"])
        found |= {f"model.layers.{layer}.self_attn.kv_b_proj": None for layer in layers}
    return {"lm_head": found["model.embed_tokens"], **found}


def _check_sizes(config: dict[str, Any], tensors: dict[str, TensorInfo], path: Path) -> None:
    """Before a model is built by them, the metadata's numbers must be those of the tensors."""
    blocks = {name.split(".")[1] for name in tensors if name.startswith("blk.")}
    if config["num_hidden_layers"] != len(blocks):
        raise CheckpointError(
            f"{path}: {config['num_hidden_layers']} layers are announced (block_count) and there "
            f"are tensors of {len(blocks)}"
        )
    expected: dict[str, tuple[int, ...]] = {
        "token_embd": (config["vocab_size"], config["hidden_size"])
    }
    if config["model_type"] not in LATENT:  # whose layers are checked one by one
        expected |= _first_layer(config, tensors, path)
    for name, shape in expected.items():
        info = tensors.get(f"{name}.weight")
        if info is not None and info.shape != shape:
            raise CheckpointError(
                f"{path}: tensor '{name}.weight' has shape {list(info.shape)}, expected "
                f"{list(shape)} by the file's metadata"
            )


def _first_layer(
    config: dict[str, Any], tensors: dict[str, TensorInfo], path: Path
) -> dict[str, tuple[int, ...]]:
    hidden, head_dim = config["hidden_size"], config["head_dim"]
    inner = config.get("moe_intermediate_size") or config["intermediate_size"]
    return {
        "blk.0.attn_q": (config["num_attention_heads"] * head_dim, hidden),
        "blk.0.attn_k": (config["num_key_value_heads"] * head_dim, hidden),
        "blk.0.ffn_gate": (config["intermediate_size"], hidden),
        "blk.0.ffn_gate_exps": (_num_experts(config, tensors, path), inner, hidden),
    }


def _num_experts(config: dict[str, Any], tensors: dict[str, TensorInfo], path: Path) -> int:
    experts: int = config.get("num_local_experts") or config.get("num_experts") or 0
    if experts and "blk.0.ffn_gate_exps.weight" not in tensors:
        raise CheckpointError(
            f"{path}: {experts} experts are announced and 'blk.0.ffn_gate_exps.weight', which all "
            "of a layer share, is missing; files from before April 2024 have a tensor for each: "
            "fetch a newer one"
        )
    return experts


def _by_factors(factors: list[float], config: dict[str, Any], path: Path) -> dict[str, Any]:
    """llama.cpp stores what Llama 3's scaling divides each frequency by instead of its parameters.

    LongRoPE is the kind of config.json that takes such a list.
    """
    pairs = config["head_dim"] // 2
    if len(factors) != pairs or not all(0 < f < math.inf for f in factors):
        raise CheckpointError(
            f"{path}: 'rope_freqs.weight' holds {len(factors)} numbers, expected {pairs} above 0"
        )
    return {
        "rope_type": "longrope",
        "short_factor": factors,
        "long_factor": factors,
        "attention_factor": 1.0,
    }


def _float32_values(info: TensorInfo, data: mmap.mmap, path: Path) -> list[float]:
    count = info.shape[-1]
    if info.kind != FLOAT32 or info.offset + 4 * count > len(data):
        raise CheckpointError(f"{path}: tensor {info.name!r} is not whole or not float32")
    return list(struct.unpack_from(f"<{count}f", data, info.offset))
