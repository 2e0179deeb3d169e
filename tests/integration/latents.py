"""A random DeepSeek twice: as GGUF, as llama.cpp's converter writes it, and as a directory.

What a directory has beside the file's values comes from them, dequantized by the gguf package.
Names are those of the gguf package's own map.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
from bench.mixture_gguf import Kind, Stored, draw, write
from latent_keys import (
    DENSE,
    EXPERTS,
    HEADS,
    HIDDEN,
    INNER,
    KEYS,
    LATENT,
    LAYERS,
    RANK,
    ROTATED,
    SHARED,
    VALUES,
    VOCAB,
    Case,
    config,
    metadata,
)
from mixtures import of_directory
from safetensors.torch import save_file

NAMES = gguf.get_tensor_name_map(gguf.MODEL_ARCH.DEEPSEEK2, LAYERS)


def write_both(folder: Path, case: Case) -> Path:
    """The file; the directory is `folder`."""
    rng, floats, stored = np.random.default_rng(11), {}, {}
    for name, shape in shapes(case):
        theirs = of_file(name)
        drawn = drawn_of(rng, theirs, shape, case)
        stored[theirs] = drawn
        floats[name] = torch.from_numpy(drawn.values.copy())
    folder.mkdir()
    found = dict(pair for name, value in whole(floats) for pair in of_directory(name, value))
    save_file({k: v.contiguous() for k, v in found.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config(case)))
    return write(folder.with_suffix(".gguf"), "deepseek2", metadata(case), stored)


def of_file(name: str) -> str:
    if name.startswith("blk."):
        return name
    renamed = name.replace("correction_bias", "correction.bias")  # as the converter does
    found = NAMES.get_name(renamed, try_suffixes=(".weight", ".bias"))
    assert found is not None, name
    return found


def drawn_of(rng: np.random.Generator, name: str, shape: tuple[int, ...], case: Case) -> Stored:
    if "exp_probs_b" in name:
        return Stored(rng.uniform(-0.3, 0.3, shape).astype(np.float32), Kind.F32)
    kind = case.down if case.down and "down_exps" in name else case.kind
    if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = Kind.Q8_0
    gain = 2.0 if "token_embd" in name or name.startswith("output.") else 1.3
    return draw(rng, shape, Kind.F32 if "gate_inp" in name else kind, gain)


def shapes(case: Case) -> Iterator[tuple[str, tuple[int, ...]]]:
    """By Hugging Face's names, all experts of a layer in one, and GGUF's of kv_b_proj's halves."""
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (HIDDEN,)
        yield f"{at}.post_attention_layernorm.weight", (HIDDEN,)
        yield from attention(case, f"{at}.self_attn", layer)
        yield from mlp(case, f"{at}.mlp", layer)


def attention(case: Case, at: str, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    rows = HEADS * (KEYS + ROTATED)
    if case.compressed:
        yield f"{at}.q_a_proj.weight", (RANK, HIDDEN)
        yield f"{at}.q_a_layernorm.weight", (RANK,)
        yield f"{at}.q_b_proj.weight", (rows, RANK)
    else:
        yield f"{at}.q_proj.weight", (rows, HIDDEN)
    yield f"{at}.kv_a_proj_with_mqa.weight", (LATENT + ROTATED, HIDDEN)
    yield f"{at}.kv_a_layernorm.weight", (LATENT,)
    if case.halves:
        yield f"blk.{layer}.attn_k_b.weight", (HEADS, LATENT, KEYS)
        yield f"blk.{layer}.attn_v_b.weight", (HEADS, VALUES, LATENT)
    else:
        yield f"{at}.kv_b_proj.weight", (HEADS * (KEYS + VALUES), LATENT)
    yield f"{at}.o_proj.weight", (HIDDEN, HEADS * VALUES)


def mlp(case: Case, at: str, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    modules = [("", 1, INNER)]
    if layer >= DENSE:
        yield f"{at}.gate.weight", (EXPERTS, HIDDEN)
        if case.sigmoid:
            yield f"{at}.gate.e_score_correction_bias", (EXPERTS,)
        modules = [(".experts", EXPERTS, INNER), (".shared_experts", 1, SHARED * INNER)]
    for module, num, inner in modules:
        for part in ("gate", "up", "down"):
            shape = (HIDDEN, inner) if part == "down" else (inner, HIDDEN)
            all_of_them = (num, *shape) if num > 1 else shape
            yield f"{at}{module}.{part}_proj.weight", all_of_them


def whole(floats: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """kv_b_proj as directories have it: of each head the rows of keys, then those of values."""
    for name, value in floats.items():
        if name.endswith("attn_k_b.weight"):
            values = floats[name.replace("attn_k_b", "attn_v_b")]
            rows = [row for keys, vs in zip(value, values, strict=True) for row in (keys.T, vs)]
            yield f"model.layers.{name.split('.')[1]}.self_attn.kv_b_proj.weight", torch.cat(rows)
        elif not name.startswith("blk."):
            yield name, value
