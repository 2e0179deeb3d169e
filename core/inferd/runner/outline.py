"""A model's shape without its weights: what `inferd plan` counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from inferd.config.engine import EngineConfig
from inferd.contracts.model import BuildContext, CausalLM, ModelConfig
from inferd.contracts.ops import OpRequest, Ops
from inferd.host.host import Host
from inferd.layers.gguf_blocks import STORAGE
from inferd.loading.checkpoint import model_config
from inferd.memory.kv_groups import KVGroups
from inferd.runner.choices import KV_DTYPES, check_kv_dtype, model_class, quantization_of

SCALE_BYTES = 2  # per group of quantized weights, as most formats have it
WHOLE = 128  # weights a group has where the configuration does not say


@dataclass(frozen=True, slots=True)
class Outline:
    config: ModelConfig
    num_weights: int
    weight_bytes: int  # where `bits` is not None an estimate, of weights that stay packed
    bits: int | None  # per weight of linear layers, of a quantized checkpoint
    groups: KVGroups


def outline(
    config: EngineConfig,
    host: Host,
    hf: Mapping[str, Any],
    preferred_dtype: Callable[[torch.dtype], torch.dtype],
) -> Outline:
    """Of the model that config.json, `hf`, describes. Nothing is allocated.

    Raises UnsupportedModel, UsageError or PluginError, as building the model would.
    """
    resolved = model_config(hf, config.model, preferred_dtype)
    model = _on_meta(host, resolved, KV_DTYPES[config.cache.kv_cache_dtype])
    check_kv_dtype(config.cache, model.kv_specs())
    shapes = list(_shapes(model))
    _, stored = quantization_of(config, resolved.hf)
    bits = stored_bits(stored)
    return Outline(
        config=resolved,
        num_weights=sum(math.prod(shape) for _, shape in shapes),
        weight_bytes=sum(_bytes(name, shape, resolved, stored) for name, shape in shapes),
        bits=bits,
        groups=KVGroups.of(model.kv_specs()),
    )


def _on_meta(host: Host, config: ModelConfig, narrow_kv: torch.dtype | None) -> CausalLM:
    """On torch's device without memory, with the reference of everything, which fits any model."""
    catalog = host.catalog
    request = OpRequest("cpu", "", config.dtype)
    ops: Mapping[str, Any] = catalog.ops.make(catalog.ops.load("torch")).ops(request)
    build = BuildContext(
        config=config,
        device=torch.device("meta"),
        ops=Ops(**ops),
        attention=catalog.attention.make(catalog.attention.load("torch")),
        quantization=catalog.quantization.make(
            catalog.quantization.load("unquantized"), {}, by="from_config"
        ),
        narrow_kv=narrow_kv,
    )
    return catalog.models.make(model_class(host, config), build)


def _shapes(model: CausalLM) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of all tensors that a checkpoint gives, with the name of the module that takes them."""
    for name, module in model.targets().items():
        for shape in module.expected().values():
            yield name, shape


def stored_bits(stored: Mapping[str, Any]) -> int | None:
    """Bits per weight, from a checkpoint's description of its quantization; None without one."""
    if not stored:
        return None
    groups = stored.get("config_groups") or {}
    weights = [group.get("weights") or {} for group in groups.values()]
    blocks = STORAGE.get(str(stored.get("storage")))
    named = [
        blocks and blocks.bits,
        stored.get("bits"),
        stored.get("w_bit"),
        *(each.get("num_bits") for each in weights),
    ]
    return next((int(bits) for bits in named if bits), 8)


def _bytes(
    name: str, shape: tuple[int, ...], config: ModelConfig, stored: Mapping[str, Any]
) -> int:
    """Matrices of layers are quantized; embeddings, the head, norms and biases are not."""
    count, bits = math.prod(shape), stored_bits(stored)
    if bits is None or len(shape) < 2 or ".layers." not in f".{name}":
        return count * config.dtype.itemsize
    group = int(stored.get("group_size") or WHOLE)
    groups = count // (shape[-1] if group == -1 else group)
    return count * bits // 8 + groups * SCALE_BYTES
