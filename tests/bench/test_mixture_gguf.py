"""The file that packed experts are timed on is a Qwen3-MoE in Q4_K_M."""

from __future__ import annotations

from pathlib import Path

import torch
from bench.mixture_gguf import main

from inferd.loading.gguf import GgufLoader


def test_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    main([str(path), "--hidden", "256", "--inner", "512", "--experts", "3", "--vocab", "64"])
    loader = GgufLoader(path)
    assert loader.config["architectures"] == ["Qwen3MoeForCausalLM"]
    found = {raw.name: raw for raw in loader.tensors()}
    for layer, kind in enumerate(["gguf_q4_k", "gguf_q4_k", "gguf_q6_k", "gguf_q6_k"]):
        module = f"model.layers.{layer}.mlp.experts.2"
        assert found[f"{module}.gate_proj.weight"].storage == "gguf_q4_k"
        assert found[f"{module}.down_proj.weight"].storage == kind
        values = found[f"{module}.down_proj.weight"].unpack(torch.float32)
        assert abs(values.std() * 512**0.5 - 1) < 0.1
