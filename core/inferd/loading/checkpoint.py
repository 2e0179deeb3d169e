"""Opening a checkpoint, and the model configuration that follows from it and the user's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from inferd.config.model import ModelOptions
from inferd.contracts.loader import WeightLoader
from inferd.contracts.model import ModelConfig
from inferd.errors import UnsupportedModel, UsageError
from inferd.plugin import Registry

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PREFERENCE = {"safetensors": 0, "gguf": 1}


def open_checkpoint(
    path: Path, loaders: Registry[WeightLoader], load_format: str = "auto"
) -> WeightLoader:
    """With the named loader, else the one that reads what lies there.

    Raises UnsupportedModel with every loader's reason when none does, CheckpointError for a file
    that is broken.
    """
    if load_format != "auto":
        return loaders.load(load_format)(path)
    reasons = []
    for entry in loaders:
        loader = loaders.load(entry.name)
        verdict = loader.matches(path)
        if verdict:
            return loader(path)
        reasons.append(f"  {entry.name}: {verdict.reason}")
    raise UnsupportedModel("\n".join([f"no loader reads {path}", *reasons]))


def resolve_model_config(
    loader: WeightLoader,
    options: ModelOptions,
    preferred_dtype: Callable[[torch.dtype], torch.dtype],
) -> ModelConfig:
    """Raises UnsupportedModel for an unusable config, UsageError for a context that is too long."""
    config = loader.config
    hf: Mapping[str, Any] = config.get("text_config") or config
    architectures = config.get("architectures") or hf.get("architectures") or []
    if not architectures:
        raise UnsupportedModel("config.json names no architecture (key 'architectures')")
    for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        if not isinstance(hf.get(key), int) or hf[key] < 1:
            raise UnsupportedModel(f"config.json: {key} is {hf.get(key)!r}, expected a number")
    return ModelConfig(
        architecture=architectures[0],
        hf=hf,
        dtype=_dtype(hf, options, preferred_dtype),
        max_model_len=_max_model_len(hf, options),
        vocab_size=hf["vocab_size"],
    )


def _dtype(
    hf: Mapping[str, Any],
    options: ModelOptions,
    preferred: Callable[[torch.dtype], torch.dtype],
) -> torch.dtype:
    if options.dtype != "auto":
        return DTYPES[options.dtype]
    stored = str(hf.get("dtype") or hf.get("torch_dtype") or "float32")
    return preferred(DTYPES.get(stored, torch.float32))


def _max_model_len(hf: Mapping[str, Any], options: ModelOptions) -> int:
    """What the model was made for, stretched by its own rope scaling, or less if asked."""
    derived = int(hf.get("max_position_embeddings") or 2048)
    scaling = dict(hf.get("rope_scaling") or {}) | dict(hf.get("rope_parameters") or {})
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind in ("linear", "dynamic", "yarn"):
        original = int(scaling.get("original_max_position_embeddings") or derived)
        derived = max(derived, int(original * float(scaling.get("factor", 1.0))))
    wanted = options.max_model_len
    if wanted is not None and wanted > derived:
        raise UsageError(
            f"--max-model-len {wanted} is more than the {derived} tokens this model was made for; "
            f"use at most {derived}"
        )
    return wanted or derived
