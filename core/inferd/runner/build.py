"""From a configuration to a loaded model with its KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inferd.config.engine import EngineConfig
from inferd.config.scheduler import SchedulerOptions
from inferd.contracts.loader import WeightLoader
from inferd.contracts.model import BuildContext, CausalLM, ModelConfig
from inferd.host.host import Host
from inferd.loading.checkpoint import open_checkpoint, resolve_model_config
from inferd.loading.name_map import NameMap
from inferd.loading.reading import Reading
from inferd.loading.sources import resolve
from inferd.loading.weights import LoadReport, draw_weights, load_weights
from inferd.memory.kv_cache import CacheSize, Demand, size_cache
from inferd.memory.kv_groups import KVGroups
from inferd.runner.choices import (
    KV_DTYPES,
    Choices,
    check_kv_dtype,
    choose_all,
    choose_platform,
    model_class,
)
from inferd.runner.kv_scales import calculate_kv_scales
from inferd.runner.phases import Phases
from inferd.runner.workspace import LargestStep


@dataclass(frozen=True, slots=True)
class Built:
    """A loaded model with its cache."""

    config: ModelConfig
    choices: Choices
    model: CausalLM
    report: LoadReport
    groups: KVGroups
    scheduler: SchedulerOptions
    cache: CacheSize
    caches: list[tuple[Tensor, Tensor]]  # per layer
    phases: Phases


def build(config: EngineConfig, host: Host) -> Built:
    """Raises PluginError, UnsupportedModel, CheckpointError, UsageError or DoesNotFit."""
    catalog, phases = host.catalog, Phases()
    platform = choose_platform(config, host)
    platform.prepare()
    phases.end("device", platform)
    path = resolve(config.model.model, revision=config.model.revision)
    loader = open_checkpoint(path, catalog.loaders, config.model.load_format)
    model_config = resolve_model_config(loader, config.model, platform.preferred_dtype)
    choices = choose_all(config, host, platform, model_config)
    family = model_class(host, model_config)
    context = BuildContext(
        config=model_config,
        device=platform.device,
        ops=choices.ops,
        attention=choices.attention,
        quantization=choices.quantization,
        stored_names=NameMap(family).parts,
        narrow_kv=KV_DTYPES[config.cache.kv_cache_dtype],
    )
    model = catalog.models.make(family, context).eval()
    check_kv_dtype(config.cache, model.kv_specs())
    groups = KVGroups.of(model.kv_specs(), choices.attention.strided_blocks)
    model.set_groups(groups.group_of)
    report = _load(config, model, loader, platform.device)
    phases.end("weights", platform)
    if config.cache.calculate_kv_scales:
        calculate_kv_scales(model, model_config, choices, config.cache.block_size)
    return _with_cache(config, model_config, choices, model, report, groups, phases)


def _load(
    config: EngineConfig, model: CausalLM, loader: WeightLoader, device: torch.device
) -> LoadReport:
    if config.model.load_format == "dummy":
        return draw_weights(model, config.model.seed, device)
    with Reading(loader.num_bytes) as progress:
        return load_weights(model, loader, progress)


def _with_cache(
    config: EngineConfig,
    model_config: ModelConfig,
    choices: Choices,
    model: CausalLM,
    report: LoadReport,
    groups: KVGroups,
    phases: Phases,
) -> Built:
    platform, options = choices.platform, config.cache
    scheduler = config.scheduler.preferring(platform.scheduler_defaults)
    largest = LargestStep(scheduler, choices, model, groups, options.block_size)
    with choices.rehearsal():
        largest.with_tokens(platform.rehearsed_tokens)()
    workspace = platform.peak_bytes(largest)
    phases.end("workspace", platform)
    memory = platform.default_kv_bytes(platform.free_memory(), options.gpu_memory_utilization)
    demand = Demand(
        max_model_len=model_config.max_model_len,
        max_num_seqs=scheduler.max_num_seqs,
        max_num_batched_tokens=scheduler.max_num_batched_tokens,
        length_is_fixed=config.model.max_model_len is not None,
    )
    cache = size_cache(groups, options, max(0, memory - workspace), demand)
    caches = groups.allocate(
        choices.attention, cache.num_blocks, options.block_size, platform.device
    )
    phases.end("kv_cache", platform)
    return Built(model_config, choices, model, report, groups, scheduler, cache, caches, phases)


def summary(built: Built) -> dict[str, Any]:
    """Plain values for the banner."""
    choices, cache = built.choices, built.cache
    return {
        "device": str(choices.platform.device),
        "platform": choices.platform.name,
        "architecture": choices.platform.architecture,
        "model": built.config.architecture,
        "model_note": built.model.note,
        "dtype": str(built.config.dtype).removeprefix("torch."),
        "weight_bytes": built.report.total_bytes(built.config.dtype),
        "kv_bytes": cache.num_bytes,
        "start_seconds": built.phases.seconds,
        "ops": list(choices.op_providers),
        "attention": choices.attention.name,
        "quantization": choices.quantization.name,
        "weight_formats": choices.weight_formats(built.model),
        "max_model_len_shrunk_from": cache.shrunk_from,
    }
