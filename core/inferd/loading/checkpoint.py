"""Opening a checkpoint, and the model configuration that follows from it and the user's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from inferd.config.model import ModelOptions
from inferd.contracts.loader import WeightLoader
from inferd.contracts.model import ModelConfig
from inferd.errors import PluginError, UnsupportedModel, UsageError
from inferd.loading.text_part import text_config
from inferd.plugin import Registry

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
STRETCHING = ("linear", "dynamic", "yarn")  # rope types whose factor lengthens the context
UNSAID_LENGTH = 2048


def open_checkpoint(
    path: Path, loaders: Registry[WeightLoader], load_format: str = "auto"
) -> WeightLoader:
    """With the named loader, else the one that reads what lies there.

    Raises UnsupportedModel with every loader's reason when none does, CheckpointError for a file
    that is broken.
    """
    if load_format != "auto":
        return loaders.make(loaders.load(load_format), path)
    reasons = []
    for entry in loaders:
        try:
            loader = loaders.load(entry.name)
        except PluginError as error:
            reasons.append(f"  {entry.name}: {error}")
            continue
        verdict = loader.matches(path)
        if verdict:
            return loaders.make(loader, path)
        reasons.append(f"  {entry.name}: {verdict.reason}")
    raise UnsupportedModel("\n".join([f"no loader reads {path}", *reasons]))


def resolve_model_config(
    loader: WeightLoader,
    options: ModelOptions,
    preferred_dtype: Callable[[torch.dtype], torch.dtype],
) -> ModelConfig:
    """`model_config` of an open checkpoint; raises the same."""
    return model_config(loader.config, options, preferred_dtype)


def model_config(
    config: Mapping[str, Any],
    options: ModelOptions,
    preferred_dtype: Callable[[torch.dtype], torch.dtype],
) -> ModelConfig:
    """`preferred_dtype` turns the checkpoint's dtype into the one the platform runs it in.

    Raises UnsupportedModel for an unusable config, UsageError for a context that is too long.
    """
    hf = text_config(config)
    architectures = hf.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        raise UnsupportedModel("config.json names no architecture (key 'architectures')")
    vocab_size = hf.get("vocab_size")
    if type(vocab_size) is not int or vocab_size < 1:
        raise UnsupportedModel(f"config.json: vocab_size is {vocab_size!r}, expected a number")
    return ModelConfig(
        architecture=str(architectures[0]),
        hf=hf,
        dtype=_dtype(hf, options, preferred_dtype),
        max_model_len=_max_model_len(hf, options),
        vocab_size=vocab_size,
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
    longest = derived_length(hf)
    wanted = options.max_model_len
    if wanted is not None and wanted > longest:
        raise UsageError(
            f"--max-model-len {wanted} is more than the {longest} tokens this model was made for; "
            f"use at most {longest}"
        )
    return wanted or longest


def derived_length(hf: Mapping[str, Any]) -> int:
    """The longest context that the configuration allows."""
    lengths = [hf[key] for key in LENGTHS if type(hf.get(key)) is int and hf[key] > 0]
    longest = min(lengths, default=UNSAID_LENGTH)
    scaling = hf.get("rope_scaling") or hf.get("rope_parameters") or {}  # as Rope.read does
    if scaling.get("rope_type", scaling.get("type")) not in STRETCHING:
        return longest
    try:
        original = int(scaling.get("original_max_position_embeddings") or longest)
        return max(longest, int(original * float(scaling.get("factor") or 1.0)))
    except (TypeError, ValueError):
        raise UnsupportedModel(f"config.json: rope_scaling {scaling!r} is not usable") from None
