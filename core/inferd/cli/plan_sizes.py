"""What fits: a model's outline against a device's memory. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferd.errors import DoesNotFit

if TYPE_CHECKING:
    from inferd.cli.plan_devices import Device
    from inferd.config.engine import EngineConfig
    from inferd.config.scheduler import SchedulerOptions
    from inferd.contracts.model import ModelConfig
    from inferd.runner.outline import Outline

GIB = 1 << 30
LEAST_CONTEXT = 256  # tokens; shorter requests are not listed


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes and counts; those of the workspace are an estimate."""

    device: str
    free_bytes: int
    weight_bytes: int
    workspace_bytes: int
    kv_bytes: int
    kv_bytes_per_token: int
    kv_tokens: int
    max_model_len: int
    model_len: int  # that the model was made for, or that was asked for
    max_num_seqs: int
    at_once: dict[int, int]  # context length -> requests

    @property
    def flags(self) -> list[str]:
        """For `inferd serve`, beside those that were given."""
        shrunk = self.max_model_len < self.model_len
        return ["--max-model-len", str(self.max_model_len)] if shrunk else []


def plan(outline: Outline, device: Device, config: EngineConfig) -> Plan:
    """Raises DoesNotFit when the weights, or one request beside them, do not."""
    from inferd.memory.kv_cache import NULL_BLOCKS, Demand, size_cache

    scheduler = config.scheduler.preferring(device.scheduler_defaults)
    workspace = _workspace(outline.config, scheduler) if device.measures_workspace else 0
    left = device.free_bytes - outline.weight_bytes
    if left <= workspace:
        raise DoesNotFit(_too_large(outline, device, workspace))
    demand = Demand(
        max_model_len=outline.config.max_model_len,
        max_num_seqs=scheduler.max_num_seqs,
        max_num_batched_tokens=scheduler.max_num_batched_tokens,
        length_is_fixed=config.model.max_model_len is not None,
    )
    cache = size_cache(
        outline.groups, config.cache, max(0, device.kv_bytes(left) - workspace), demand
    )
    layout = outline.groups.layout(cache.num_blocks, config.cache.block_size)
    blocks, chunk = cache.num_blocks - NULL_BLOCKS, scheduler.max_num_batched_tokens
    block_bytes = outline.groups.block_bytes(config.cache.block_size)
    return Plan(
        device=device.name,
        free_bytes=device.free_bytes,
        weight_bytes=outline.weight_bytes,
        workspace_bytes=workspace,
        kv_bytes=cache.num_bytes,
        kv_bytes_per_token=block_bytes * layout.num_groups // config.cache.block_size,
        kv_tokens=blocks * config.cache.block_size // layout.num_groups,
        max_model_len=cache.max_model_len,
        model_len=outline.config.max_model_len,
        max_num_seqs=scheduler.max_num_seqs,
        at_once={
            length: blocks // layout.peak_blocks(length, chunk)
            for length in _lengths(cache.max_model_len)
        },
    )


def _lengths(longest: int) -> list[int]:
    """The longest, a quarter of it and so on."""
    lengths = [longest]
    while lengths[-1] // 4 >= LEAST_CONTEXT:
        lengths.append(lengths[-1] // 4)
    return lengths


def _workspace(config: ModelConfig, scheduler: SchedulerOptions) -> int:
    """Activations of the largest step and its logits, roughly: residual, attention and MLP at
    once, logits as the head makes them and in float32."""
    hf: dict[str, Any] = dict(config.hf)
    hidden = int(hf.get("hidden_size") or hf.get("n_embd") or 0)
    inner = int(hf.get("intermediate_size") or hf.get("n_inner") or 4 * hidden)
    tokens, rows = scheduler.max_num_batched_tokens, scheduler.max_num_seqs
    activations = tokens * (6 * hidden + 3 * inner) * config.dtype.itemsize
    return activations + rows * config.vocab_size * (config.dtype.itemsize + 4)


def _too_large(outline: Outline, device: Device, workspace: int) -> str:
    from inferd.cli.plan_devices import CONTEXT_BYTES, GPU_MIB, MIB

    need = outline.weight_bytes + workspace
    fitting = [n for n, size in GPU_MIB.items() if size * MIB - CONTEXT_BYTES > need * 1.1]
    halve = "  half the weights: --dtype bfloat16\n" if outline.config.dtype.itemsize > 2 else ""
    return (
        f"the weights take {outline.weight_bytes / GIB:.1f} GiB in {_name(outline.config)}, a step "
        f"{workspace / GIB:.1f} GiB, and {device.name} has {device.free_bytes / GIB:.1f} GiB\n"
        f"{halve}  a quantized checkpoint of this model takes a quarter to a half\n"
        f"  GPUs that have the room: {', '.join(fitting) or 'none that is known alone'}"
    )


def _name(config: ModelConfig) -> str:
    return str(config.dtype).removeprefix("torch.")
