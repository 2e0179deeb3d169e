"""KVGroups: which layers share block tables, and which share memory.

Shape suffixes: B blocks, S slots per block, G KV heads, E head size, Y bytes of a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, KVSpec
from inferd.contracts.zeros import lazy_zeros
from inferd.memory.block_table import CacheLayout, GroupSpec

MOST_GROUPS = 8  # that share pages: a step plans attention for each, a table has a column for each

PageShape = tuple[int, int, torch.dtype, int | None]
Caches = tuple[Tensor, Tensor]
Family = Mapping[KVSpec, list[int]]  # the layers of each spec, in the order of their appearance


@dataclass(frozen=True, slots=True)
class KVGroups:
    """Layers sorted by what they keep: those of a group have equal specs.

    Groups share tensors: a block belongs to one group at a time, so the i-th layers of all of them
    use the same memory. A block of a group with fewer layers than there are tensors wastes the
    others; many layers of one spec are therefore dealt to several groups, about as large as those
    of the other specs.

    Where pages are shaped differently, those of the largest are everyone's: several smaller ones
    lie in one. That asks for a backend with `strided_blocks`; without it every shape has tensors
    of its own, and a block of one shape wastes those of the others.
    """

    specs: tuple[KVSpec, ...]  # per group
    group_of: tuple[int, ...]  # per layer
    tensor_of: tuple[int, ...]  # per layer: which of the allocated pairs it uses
    part_of: tuple[int, ...]  # per layer: which place of that pair's pages
    tensor_specs: tuple[KVSpec, ...]  # per allocated pair: whose pages it has

    @classmethod
    def of(cls, layers: Sequence[KVSpec], strided_blocks: bool = False) -> KVGroups:
        """What costs least for a token that all groups keep."""
        by_shape = cls._of(layers, _families(layers, page_shape))
        if not strided_blocks:
            return by_shape
        together = cls._of(layers, _families(layers, lambda _: None))
        return min(together, by_shape, key=lambda each: len(each.specs) * each.block_bytes(1))

    @classmethod
    def _of(cls, layers: Sequence[KVSpec], families: Sequence[Family]) -> KVGroups:
        groups: list[list[int]] = []
        pairs: list[KVSpec] = []
        group_of, tensor_of, part_of = ([0] * len(layers) for _ in range(3))
        for family in families:
            mine: list[int] = []  # pairs of this family
            for members, in_page in _dealt(family):
                for place, layer in enumerate(members):
                    if place // in_page == len(mine):
                        mine.append(len(pairs))
                        pairs.append(_largest(family))
                    group_of[layer], part_of[layer] = len(groups), place % in_page
                    tensor_of[layer] = mine[place // in_page]
                groups.append(members)
        specs = tuple(layers[members[0]] for members in groups)
        return cls(specs, tuple(group_of), tuple(tensor_of), tuple(part_of), tuple(pairs))

    def block_bytes(self, block_size: int) -> int:
        """What one more block costs over all tensors."""
        return block_size * sum(spec.bytes_per_token for spec in self.tensor_specs)

    def layout(self, num_blocks: int, block_size: int) -> CacheLayout:
        groups = tuple(GroupSpec(spec.kind, spec.window) for spec in self.specs)
        return CacheLayout(num_blocks, block_size, groups)

    def allocate(
        self, backend: AttentionBackend, num_blocks: int, block_size: int, device: torch.device
    ) -> list[Caches]:
        """K and V of every layer, in layer order, as views [B, S, G, E]."""
        mixed = {
            tensor
            for tensor, group in zip(self.tensor_of, self.group_of, strict=True)
            if page_shape(self.specs[group]) != page_shape(self.tensor_specs[tensor])
        }
        whole: dict[int, Caches] = {}
        shared_BY: dict[int, Tensor] = {}
        for tensor, spec in enumerate(self.tensor_specs):
            if tensor in mixed:
                shape = num_blocks, block_size * spec.bytes_per_token
                shared_BY[tensor] = lazy_zeros(shape, torch.uint8, device)
            else:
                whole[tensor] = backend.allocate(spec, num_blocks, block_size, device)
        return [
            whole[tensor]
            if tensor in whole
            else _placed(backend, self.specs[group], shared_BY[tensor], part, block_size)
            for tensor, group, part in zip(self.tensor_of, self.group_of, self.part_of, strict=True)
        ]


def page_shape(spec: KVSpec) -> PageShape:
    return spec.num_kv_heads, spec.head_dim, spec.dtype, spec.value_dim


def _placed(
    backend: AttentionBackend, spec: KVSpec, shared_BY: Tensor, part: int, block_size: int
) -> Caches:
    """K and V in a part of every page, laid out as the backend lays out one of its own."""
    pool = shared_BY.view(spec.dtype)
    first = part * block_size * spec.bytes_per_token // spec.dtype.itemsize
    k, v = (
        pool.as_strided(
            (len(pool), *one.shape[1:]),
            (pool.stride(0), *one.stride()[1:]),
            first + one.storage_offset(),
        )
        for one in backend.allocate(spec, 1, block_size, torch.device("meta"))
    )
    return k, v


def _families(layers: Sequence[KVSpec], key: Callable[[KVSpec], object]) -> list[Family]:
    """Layers that share tensors: those of one key."""
    families: dict[object, dict[KVSpec, list[int]]] = {}
    for layer, spec in enumerate(layers):
        families.setdefault(key(spec), {}).setdefault(spec, []).append(layer)
    return list(families.values())


def _largest(family: Family) -> KVSpec:
    return max(family, key=lambda spec: spec.bytes_per_token)


def _dealt(family: Family) -> list[tuple[list[int], int]]:
    """The layers of each group, and how many of them fit one page of the largest."""
    most = _largest(family).bytes_per_token
    in_page = {spec: most // spec.bytes_per_token for spec in family}
    size = _num_tensors([(len(members), in_page[spec]) for spec, members in family.items()])
    return [
        (members[i : i + size * in_page[spec]], in_page[spec])
        for spec, members in family.items()
        for i in range(0, len(members), size * in_page[spec])
    ]


def _num_tensors(counts: Sequence[tuple[int, int]]) -> int:
    """Of a family, so that least is wasted; of several numbers, the largest.

    `counts` has the layers of each spec, and how many of them fit one page.
    """

    def num_groups(size: int) -> int:
        return sum(-(-count // (size * in_page)) for count, in_page in counts)

    most = max(len(counts), MOST_GROUPS)
    largest = max(-(-count // in_page) for count, in_page in counts)
    sizes = [size for size in range(largest, 0, -1) if num_groups(size) <= most]
    return min(sizes, key=lambda size: num_groups(size) * size)
