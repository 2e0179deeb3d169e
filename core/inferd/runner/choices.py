"""Choices of a worker: op providers, attention backend, quantization method, model class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from inferd.config.cache import CacheOptions
from inferd.config.engine import EngineConfig
from inferd.contracts.attention import AttentionBackend, AttentionRequest, KVSpec, supports
from inferd.contracts.model import ANY, CausalLM, ModelConfig
from inferd.contracts.ops import OpProvider, OpRequest, Ops
from inferd.contracts.platform import Platform
from inferd.contracts.quantization import QuantizationMethod
from inferd.contracts.verdict import Verdict, no
from inferd.errors import PluginError, UnsupportedModel
from inferd.host.explain import candidates, choose, explain
from inferd.host.host import Host
from inferd.layers.expert_bank import ExpertBank

LOADED = "dequantized when loaded"


@dataclass(frozen=True, slots=True)
class Choices:
    """What won, by the names under which it was registered."""

    platform: Platform
    ops: Ops
    op_providers: Mapping[str, OpProvider]  # best first
    attention: AttentionBackend
    quantization: QuantizationMethod

    def weight_formats(self, model: CausalLM) -> dict[str, str]:
        """How the formats of the quantization method are multiplied, and layers unlike the rest."""
        names = sorted(self.quantization.formats())
        banks = [module for module in model.modules() if isinstance(module, ExpertBank)]
        found = {name: self._how(name, bool(banks)) for name in names}
        apart = sum(bank.dequantized for bank in banks)
        if apart and any(name in self.ops.packed_experts for name in names):
            found[f"experts of {apart} layer{'s' * (apart > 1)}"] = LOADED
        return found

    def _how(self, name: str, experts: bool) -> str:
        if name not in self.ops.linear:
            return LOADED
        apart = experts and name not in self.ops.packed_experts
        return f"packed, experts {LOADED}" if apart else "packed"

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Of all op providers."""
        with ExitStack() as stack:
            for provider in self.op_providers.values():
                stack.enter_context(provider.rehearsal())
            yield


KV_DTYPES = {"auto": None, "fp8": torch.float8_e4m3fn}


def choose_all(
    config: EngineConfig, host: Host, platform: Platform, model_config: ModelConfig
) -> Choices:
    ops, providers = choose_ops(host, op_request(platform, model_config, config.cache))
    request = attention_request(host, platform.name, model_config, config.cache)
    backend = choose(
        host.catalog.attention,
        lambda kind: supports(kind, request),
        wanted=config.plugins.attention_backend,
        flag="--attention-backend",
    )
    attention = host.catalog.attention.make(backend)
    attention.prepare(request)
    quantization = quantization_method(host, config, platform.name, model_config.hf)
    return Choices(platform, ops, providers, attention, quantization)


def check_kv_dtype(cache: CacheOptions, specs: Iterable[KVSpec]) -> None:
    """Raises UnsupportedModel where layers keep something else than was asked for."""
    asked = KV_DTYPES[cache.kv_cache_dtype]
    if asked is not None and any(spec.dtype != asked for spec in specs):
        raise UnsupportedModel(
            f"--kv-cache-dtype {cache.kv_cache_dtype}: layers of this model keep no keys and "
            "values that could be stored so; leave it out"
        )


def choose_platform(config: EngineConfig, host: Host) -> Platform:
    """The one asked for, else the best that finds its hardware; not prepared yet."""
    platform = choose(
        host.catalog.platforms,
        lambda kind: kind.detect(),
        wanted=config.plugins.platform,
        flag="--platform",
    )
    return host.catalog.platforms.make(platform)


def op_request(platform: Platform, config: ModelConfig, cache: CacheOptions) -> OpRequest:
    kv_dtype = KV_DTYPES[cache.kv_cache_dtype]
    return OpRequest(platform.name, platform.architecture, config.dtype, kv_dtype)


def attention_request(
    host: Host, platform: str, config: ModelConfig, cache: CacheOptions
) -> AttentionRequest:
    """What the model's family asks; where no plugin implements it, what most would."""
    family = _family(host, config) or CausalLM
    request = family.attention_request(config, platform, cache.block_size)
    return replace(request, kv_dtype=KV_DTYPES[cache.kv_cache_dtype])


def choose_ops(host: Host, request: OpRequest) -> tuple[Ops, dict[str, OpProvider]]:
    """Each op from the best provider that has it; mappings are merged entry by entry.

    Raises PluginError with every provider's reason when an op has no provider.
    """
    found = candidates(host.catalog.ops, lambda kind: kind.supports(request))
    merged: dict[str, Any] = {}
    providers: dict[str, OpProvider] = {}
    for candidate in reversed(found):  # the best last: it overrides
        if not candidate.verdict or candidate.implementation is None:
            continue
        provider = host.catalog.ops.make(candidate.implementation)
        providers = {candidate.entry.name: provider, **providers}
        for name, op in provider.ops(request).items():
            merged[name] = {**merged.get(name, {}), **op} if isinstance(op, Mapping) else op
    missing = [name for name in Ops.__dataclass_fields__ if name not in merged]
    if missing:
        raise PluginError(f"no provider of the ops {', '.join(missing)}\n{explain(found)}")
    return Ops(**merged), providers


def quantization_method(
    host: Host, config: EngineConfig, platform: str, hf: Mapping[str, Any]
) -> QuantizationMethod:
    name, stored = quantization_of(config, hf)
    if config.plugins.quantization is None:
        _refuse_absent(host, name)
    method = host.catalog.quantization.load(name)
    verdict = method.supports(platform, stored)
    if not verdict:
        raise UnsupportedModel(f"quantization {name!r} cannot be used here: {verdict.reason}")
    return host.catalog.quantization.make(method, stored, by="from_config")


def _refuse_absent(host: Host, name: str) -> None:
    """Raises UnsupportedModel with what would help."""
    if name in host.catalog.quantization:
        return
    reason, plugin = f"no plugin reads weights of the method {name!r}", name.replace("-", "_")
    if plugin in host.installed:
        raise UnsupportedModel(
            f"{reason}: plugin {plugin!r} is installed and left out; add it: --plugins {plugin}"
        )
    raise UnsupportedModel(
        f"{reason}\n  known: {', '.join(host.catalog.quantization.names)}\n"
        f"  try: pip install inferd-quant-{name}\n"
        f"       in a checkout: pip install -e ./plugins/quant_{plugin}"
    )


def quantization_of(config: EngineConfig, hf: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The method's name, from the user or the checkpoint, and what the checkpoint says of it."""
    stored: Mapping[str, Any] = hf.get("quantization_config") or hf.get("compression_config") or {}
    return config.plugins.quantization or stored.get("quant_method") or "unquantized", stored


def _family(host: Host, config: ModelConfig) -> type[CausalLM] | None:
    """The class registered for the architecture, else the one for any if it takes this model."""
    models = host.catalog.models
    if config.architecture in models:
        return models.load(config.architecture)
    return models.load(ANY) if verdict_of_any(host, config) else None


def verdict_of_any(host: Host, config: ModelConfig) -> Verdict:
    """What the class for any architecture says of this one."""
    models = host.catalog.models
    return models.load(ANY).supports(config) if ANY in models else no("is not installed")


def model_class(host: Host, config: ModelConfig) -> type[CausalLM]:
    """Raises UnsupportedModel where no plugin has the architecture."""
    family = _family(host, config)
    if family is None:
        known = [name for name in host.catalog.models.names if name != ANY]
        raise UnsupportedModel(
            f"no plugin implements the architecture {config.architecture!r}\n"
            f"  known: {', '.join(known) or 'none'}\n"
            f"  models_transformers, for any other: {verdict_of_any(host, config).reason}\n"
            "  plugins add architectures: `inferd plugins` lists what is installed,\n"
            "  try: pip install inferd-models-NAME"
        )
    return family
