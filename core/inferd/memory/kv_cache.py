"""KV cache: how many blocks fit."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.config.cache import CacheOptions
from inferd.errors import DoesNotFit
from inferd.memory.block_table import CacheLayout
from inferd.memory.kv_groups import KVGroups

GIB = 1 << 30
NULL_BLOCKS = 1  # block 0 is never handed out


@dataclass(frozen=True, slots=True)
class CacheSize:
    """What was decided, for the banner."""

    num_blocks: int
    num_bytes: int
    max_model_len: int
    shrunk_from: int | None = None  # the model's context, when that did not fit


@dataclass(frozen=True, slots=True)
class Demand:
    """What the engine may ask of the cache at most."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    length_is_fixed: bool  # the user named max_model_len


def size_cache(
    groups: KVGroups, options: CacheOptions, default_bytes: int, demand: Demand
) -> CacheSize:
    """Blocks from the options, else from `default_bytes` and never more than the demand.

    A context that nobody asked for shrinks to what fits. Raises DoesNotFit when one sequence of a
    context that was asked for, or of two blocks, does not fit.
    """
    unit = groups.block_bytes(options.block_size)
    layout = groups.layout(0, options.block_size)
    chunk = demand.max_num_batched_tokens
    peak = layout.peak_blocks(demand.max_model_len, chunk) + NULL_BLOCKS
    if options.num_blocks is not None:
        blocks = options.num_blocks
    elif options.kv_cache_memory_bytes is not None:
        blocks = options.kv_cache_memory_bytes // unit
    else:
        blocks = min(
            default_bytes // unit, (peak - NULL_BLOCKS) * demand.max_num_seqs + NULL_BLOCKS
        )
    if blocks >= peak:
        return CacheSize(blocks, blocks * unit, demand.max_model_len)
    fits = _longest(layout, blocks - NULL_BLOCKS, chunk, demand.max_model_len)
    if demand.length_is_fixed or fits <= options.block_size:
        raise DoesNotFit(_message(demand.max_model_len, fits, blocks * unit, peak * unit))
    return CacheSize(blocks, blocks * unit, fits, shrunk_from=demand.max_model_len)


def _longest(layout: CacheLayout, blocks: int, chunk: int, most: int) -> int:
    """The longest sequence that fits, by bisection: demand grows with the length."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if layout.peak_blocks(middle, chunk) <= blocks:
            low = middle
        else:
            high = middle - 1
    return low


def _message(length: int, fits: int, have: int, need: int) -> str:
    shorter = f"--max-model-len {fits}" if fits > 0 else "a model with a smaller KV cache"
    return (
        f"one sequence of {length} tokens needs {need / GIB:.2f} GiB of KV cache and "
        f"{have / GIB:.2f} GiB are available\n"
        f"  accept shorter sequences: {shorter}\n"
        f"  give the cache more memory: --kv-cache-memory-bytes {need} "
        "(or a higher --gpu-memory-utilization)\n"
        "  make room: --dtype bfloat16, a smaller or quantized model, or stop other programs"
    )
