"""A model's shape without its weights: what `inferd plan` counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from inferd.config.engine import EngineConfig
from inferd.contracts.model import BuildContext, CausalLM, ModelConfig
from inferd.contracts.ops import OpRequest, Ops
from inferd.contracts.platform import Platform
from inferd.contracts.quantization import (
    ExpertsMethod,
    ExpertsSpec,
    LinearMethod,
    LinearSpec,
    QuantizationMethod,
)
from inferd.contracts.weight_formats import DENSE
from inferd.host.host import Host
from inferd.layers.gguf_blocks import STORAGE
from inferd.layers.packed_method import DenseMethod
from inferd.loading.checkpoint import model_config
from inferd.loading.name_map import NameMap
from inferd.memory.kv_groups import KVGroups
from inferd.runner.choices import (
    KV_DTYPES,
    check_kv_dtype,
    choose_ops,
    model_class,
    op_request,
    quantization_method,
    quantization_of,
)


@dataclass(frozen=True, slots=True)
class Outline:
    config: ModelConfig
    num_weights: int
    weight_bytes: int
    bits: int | None  # per weight of linear layers, of a quantized checkpoint
    groups: KVGroups


def outline(
    config: EngineConfig,
    host: Host,
    hf: Mapping[str, Any],
    preferred_dtype: Callable[[torch.dtype], torch.dtype],
    platform: Platform | None = None,
) -> Outline:
    """Of the model that config.json, `hf`, describes, on torch's device without memory.

    Weights stay packed where ops of `platform` multiply them; None: a GPU that has ops for all.
    Raises UnsupportedModel, UsageError or PluginError, as building the model would.
    """
    resolved = model_config(hf, config.model, preferred_dtype)
    method = quantization_method(host, config, platform.name if platform else "cuda", resolved.hf)
    reference = _reference(host, resolved)
    counting = _Counting(method, _packing(config, host, resolved, platform, reference, method))
    model = _on_meta(host, resolved, reference, counting, KV_DTYPES[config.cache.kv_cache_dtype])
    check_kv_dtype(config.cache, model.kv_specs())
    shapes = list(_shapes(model))
    dense = [shape for name, shape in shapes if not counting.has(name)]
    return Outline(
        config=resolved,
        num_weights=sum(math.prod(shape) for _, shape in shapes),
        weight_bytes=sum(map(math.prod, dense)) * resolved.dtype.itemsize + counting.num_bytes,
        bits=stored_bits(quantization_of(config, resolved.hf)[1]),
        groups=KVGroups.of(model.kv_specs()),
    )


def _on_meta(
    host: Host,
    config: ModelConfig,
    ops: Ops,
    quantization: QuantizationMethod,
    narrow_kv: torch.dtype | None,
) -> CausalLM:
    family = model_class(host, config)
    build = BuildContext(
        config=config,
        device=torch.device("meta"),
        ops=ops,
        attention=host.catalog.attention.make(host.catalog.attention.load("torch")),
        quantization=quantization,
        stored_names=NameMap(family).parts,
        narrow_kv=narrow_kv,
    )
    return host.catalog.models.make(family, build)


def _reference(host: Host, config: ModelConfig) -> Ops:
    """Of everything, which fits any model."""
    ops = host.catalog.ops
    found: Mapping[str, Any] = ops.make(ops.load("torch")).ops(OpRequest("cpu", "", config.dtype))
    return Ops(**found)


def _packing(
    config: EngineConfig,
    host: Host,
    model: ModelConfig,
    platform: Platform | None,
    reference: Ops,
    method: QuantizationMethod,
) -> Ops:
    """Ops that know what is multiplied packed."""
    if platform is not None:
        return choose_ops(host, op_request(platform, model, config.cache))[0]
    linear = dict.fromkeys(method.formats(), reference.linear[DENSE])
    experts: Any = dict.fromkeys(method.formats())
    return replace(reference, linear={**reference.linear, **linear}, packed_experts=experts)


class _Counting(DenseMethod):
    """Dense weights, for their shapes; it adds up what `method` would make of them."""

    def __init__(self, method: QuantizationMethod, ops: Ops) -> None:
        super().__init__({})
        self._method, self._ops = method, ops
        self._names = set[str]()
        self.num_bytes = 0

    def has(self, name: str) -> bool:
        """Whether the module of that name, or one that it is in, is in `num_bytes`."""
        parents = itertools.accumulate(name.split("."), "{}.{}".format)
        return not self._names.isdisjoint(parents)

    def packs_head(self, ops: Ops) -> bool:  # noqa: ARG002 - those of the device decide
        return self._method.packs_head(self._ops)

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        self._add(spec.name, self._method.create(spec, self._ops).kept_bytes())
        return super().create(spec, ops)

    def create_experts(self, spec: ExpertsSpec, ops: Ops) -> ExpertsMethod:
        self._add(spec.name, self._method.create_experts(spec, self._ops).kept_bytes())
        return super().create_experts(spec, ops)

    def _add(self, name: str, num_bytes: int | None) -> None:
        if num_bytes is not None:
            self._names.add(name)
            self.num_bytes += num_bytes


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
