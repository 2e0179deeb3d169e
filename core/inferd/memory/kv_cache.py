"""KV cache: how many blocks fit, and the tensors they live in.

Shape suffixes: B blocks, S slots per block, G KV heads, E head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.config.cache import CacheOptions
from inferd.contracts.attention import AttentionBackend, KVSpec
from inferd.errors import DoesNotFit
from inferd.memory.block_table import CacheLayout, GroupSpec

GIB = 1 << 30
NULL_BLOCKS = 1  # block 0 is never handed out
MOST_GROUPS = 8  # of one page shape: a step plans attention for each, a table has a column for each

PageShape = tuple[int, int, torch.dtype, int | None]


@dataclass(frozen=True, slots=True)
class KVGroups:
    """Layers sorted by what they keep: those of a group have equal specs.

    Groups whose pages are shaped alike share tensors: a block belongs to one group at a time, so
    the i-th layers of all of them use the same memory. A block of a group with fewer layers than
    there are tensors wastes the others; many layers of one spec are therefore dealt to several
    groups, about as large as those of the other specs.
    """

    specs: tuple[KVSpec, ...]  # per group
    group_of: tuple[int, ...]  # per layer
    tensor_of: tuple[int, ...]  # per layer: which of the allocated pairs it uses
    tensor_specs: tuple[KVSpec, ...]  # per allocated pair

    @classmethod
    def of(cls, layers: Sequence[KVSpec]) -> KVGroups:
        groups = _dealt(layers)
        pairs: list[KVSpec] = []
        places: dict[PageShape, list[int]] = {}  # pairs of that shape
        group_of, tensor_of = [0] * len(layers), [0] * len(layers)
        for group, members in enumerate(groups):
            mine = places.setdefault(page_shape(layers[members[0]]), [])
            for place, layer in enumerate(members):
                if place == len(mine):
                    mine.append(len(pairs))
                    pairs.append(layers[layer])
                group_of[layer], tensor_of[layer] = group, mine[place]
        specs = tuple(layers[members[0]] for members in groups)
        return cls(specs, tuple(group_of), tuple(tensor_of), tuple(pairs))

    def block_bytes(self, block_size: int) -> int:
        """What one more block costs over all tensors."""
        return block_size * sum(spec.bytes_per_token for spec in self.tensor_specs)

    def layout(self, num_blocks: int, block_size: int) -> CacheLayout:
        groups = tuple(GroupSpec(spec.kind, spec.window) for spec in self.specs)
        return CacheLayout(num_blocks, block_size, groups)

    def allocate(
        self, backend: AttentionBackend, num_blocks: int, block_size: int, device: torch.device
    ) -> list[tuple[Tensor, Tensor]]:
        """K and V of every layer, in layer order, as views [B, S, G, E]."""
        pairs = [
            backend.allocate(spec, num_blocks, block_size, device) for spec in self.tensor_specs
        ]
        return [pairs[i] for i in self.tensor_of]


def page_shape(spec: KVSpec) -> PageShape:
    return spec.num_kv_heads, spec.head_dim, spec.dtype, spec.value_dim


def _dealt(layers: Sequence[KVSpec]) -> list[list[int]]:
    """The layers of each group, in the order in which they first appear."""
    by_spec: dict[KVSpec, list[int]] = {}
    for layer, spec in enumerate(layers):
        by_spec.setdefault(spec, []).append(layer)
    counts: dict[PageShape, list[int]] = {}
    for spec, members in by_spec.items():
        counts.setdefault(page_shape(spec), []).append(len(members))
    groups: list[list[int]] = []
    for spec, members in by_spec.items():
        size = _group_size(counts[page_shape(spec)])
        groups += [members[i : i + size] for i in range(0, len(members), size)]
    return groups


def _group_size(counts: Sequence[int]) -> int:
    """Layers of a group, so that least is wasted; of several sizes, the largest.

    `counts` has the layers of each spec with the same page shape.
    """

    def num_groups(size: int) -> int:
        return sum(-(-count // size) for count in counts)

    most = max(len(counts), MOST_GROUPS)
    sizes = [size for size in range(max(counts), 0, -1) if num_groups(size) <= most]
    return min(sizes, key=lambda size: num_groups(size) * size)


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
