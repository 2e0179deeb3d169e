"""Grouping of layers and sizing of the KV cache."""

from __future__ import annotations

import pytest
import torch
from fake_model import FakeAttention
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.config.cache import CacheOptions
from inferd.contracts.attention import KVSpec
from inferd.errors import DoesNotFit
from inferd.memory.kv_cache import CacheSize, Demand, size_cache
from inferd.memory.kv_groups import KVGroups

FULL = KVSpec(2, 8, torch.bfloat16)
WINDOW = KVSpec(2, 8, torch.bfloat16, "window", 64)
WIDE = KVSpec(2, 16, torch.bfloat16)
BLOCK_BYTES = 16 * 2 * 2 * 8 * 2  # slots, k and v, heads, head size, bytes
MIB = 1 << 20


def size(
    options: CacheOptions | None = None,
    default: int = 64 * MIB,
    length: int = 512,
    fixed: bool = False,
    layers: tuple[KVSpec, ...] = (FULL,) * 4,
    seqs: int = 8,
) -> CacheSize:
    demand = Demand(length, seqs, 128, fixed)
    return size_cache(KVGroups.of(layers), options or CacheOptions(), default, demand)


def test_layers_with_equal_specs_share_a_group() -> None:
    groups = KVGroups.of([WINDOW, FULL, WINDOW, FULL, WIDE])
    assert groups.specs == (WINDOW, FULL, WIDE)
    assert groups.group_of == (0, 1, 0, 1, 2)


def test_groups_with_equal_pages_share_memory() -> None:
    """A block belongs to one group: the i-th layers of both use the same tensors."""
    groups = KVGroups.of([WINDOW, FULL, WINDOW, FULL, WIDE])
    assert groups.tensor_of == (0, 0, 1, 1, 2)
    assert groups.block_bytes(16) == 2 * BLOCK_BYTES + 2 * BLOCK_BYTES
    caches = groups.allocate(FakeAttention(), 5, 16, torch.device("cpu"))
    assert len(caches) == 5
    assert caches[0][0] is caches[1][0]
    assert caches[0][0].shape == (5, 16, 2, 8)
    assert caches[4][1].shape == (5, 16, 2, 16)


def test_many_layers_of_one_spec_are_several_groups() -> None:
    """Five windows to one full layer: a block of either has two layers' pages and no other."""
    layers = [FULL if layer % 6 == 5 else WINDOW for layer in range(12)]
    groups = KVGroups.of(layers)
    assert groups.specs == (WINDOW,) * 5 + (FULL,)
    assert groups.group_of == (0, 0, 1, 1, 2, 5, 2, 3, 3, 4, 4, 5)
    assert groups.tensor_of == (0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1)
    assert groups.block_bytes(16) == 2 * BLOCK_BYTES


@pytest.mark.parametrize(
    ("windows", "full", "groups", "tensors"),
    [
        (22, 4, 7, 4),  # Gemma 3 1B: 24 + 4 layers' room for 26
        (52, 10, 5, 13),  # 27B: 52 + 13 for 62, with fewer groups than 10 would need
        (13, 13, 2, 13),
        (13, 12, 2, 13),
        (47, 1, 7, 8),  # not 48 groups of one
        (26, 0, 1, 26),
    ],
)
def test_little_is_wasted(windows: int, full: int, groups: int, tensors: int) -> None:
    found = KVGroups.of([WINDOW] * windows + [FULL] * full)
    assert (len(found.specs), len(found.tensor_specs)) == (groups, tensors)


def test_a_long_context_costs_what_its_full_layers_keep() -> None:
    """22 windows of 64 and 4 full layers, 32,768 tokens: a sixth of what all layers would keep."""
    layers = (WINDOW,) * 22 + (FULL,) * 4
    groups, everything = KVGroups.of(layers), KVGroups.of((FULL,) * 26)
    used, most = (
        each.layout(0, 16).peak_blocks(32_768, 128) * each.block_bytes(16)
        for each in (groups, everything)
    )
    assert used / most < 1 / 6


def test_explicit_sizes_win_over_the_platforms() -> None:
    assert size(CacheOptions(num_blocks=77)).num_blocks == 77
    by_bytes = size(CacheOptions(kv_cache_memory_bytes=100 * 4 * BLOCK_BYTES + 1))
    assert by_bytes.num_blocks == 100
    assert by_bytes.num_bytes == 100 * 4 * BLOCK_BYTES


def test_the_default_is_never_more_than_can_be_used() -> None:
    """8 sequences of 512 tokens are 32 blocks each; block 0 is nobody's."""
    assert size().num_blocks == 8 * 32 + 1
    assert size(default=100 * 4 * BLOCK_BYTES).num_blocks == 100


def test_windows_need_less() -> None:
    """A window group holds its window, a chunk of 128 and one block more."""
    assert size(layers=(WINDOW,) * 4).num_blocks == 8 * 13 + 1


def test_a_context_nobody_asked_for_shrinks_to_what_fits() -> None:
    found = size(CacheOptions(num_blocks=11))
    assert (found.max_model_len, found.shrunk_from) == (160, 512)
    assert size(CacheOptions(num_blocks=33)).shrunk_from is None


def test_a_context_that_was_asked_for_must_fit() -> None:
    with pytest.raises(DoesNotFit) as caught:
        size(CacheOptions(num_blocks=11), fixed=True)
    message = str(caught.value)
    assert "512 tokens" in message
    assert "--max-model-len 160" in message
    assert f"--kv-cache-memory-bytes {33 * 4 * BLOCK_BYTES}" in message
    assert "--dtype" in message


def test_what_the_message_proposes_works() -> None:
    needed = 33 * 4 * BLOCK_BYTES
    assert size(CacheOptions(kv_cache_memory_bytes=needed), fixed=True).num_blocks == 33
    assert size(CacheOptions(num_blocks=11), length=160, fixed=True).num_blocks == 11


def test_next_to_nothing_does_not_fit() -> None:
    with pytest.raises(DoesNotFit):
        size(default=4 * BLOCK_BYTES)


class BlockMajor(FakeAttention):
    """As Triton's: a block's keys and values are one piece of memory."""

    strided_blocks = True

    def allocate(self, spec, num_blocks, block_size, device):
        copies = 2 if spec.value_dim is None else 1
        shape = (num_blocks, copies, spec.num_kv_heads, block_size, spec.head_dim)
        pool = torch.zeros(shape, dtype=spec.dtype, device=device)
        k_BSGE = pool[:, 0].transpose(1, 2)
        if spec.value_dim is not None:
            return k_BSGE, k_BSGE[..., : spec.value_dim]
        return k_BSGE, pool[:, 1].transpose(1, 2)


def test_pages_of_two_sizes_share_blocks() -> None:
    """Two of a FULL layer's pages are one of a WIDE layer's."""
    layers = [FULL, FULL, WIDE, FULL, FULL, WIDE]
    groups = KVGroups.of(layers, strided_blocks=True)
    assert groups.specs == (FULL, WIDE)
    assert groups.group_of == (0, 0, 1, 0, 0, 1)
    assert groups.tensor_of == (0, 0, 0, 1, 1, 1)
    assert groups.part_of == (0, 1, 0, 0, 1, 0)
    assert groups.block_bytes(16) == 4 * BLOCK_BYTES == KVGroups.of(layers).block_bytes(16) / 2
    assert KVGroups.of(layers).tensor_of == (0, 1, 4, 2, 3, 5)


SPECS = st.builds(
    KVSpec,
    num_kv_heads=st.sampled_from([1, 2, 3, 8]),
    head_dim=st.sampled_from([8, 16, 80]),
    dtype=st.sampled_from([torch.bfloat16, torch.float32, torch.uint8]),
    kind=st.just("window"),
    window=st.sampled_from([None, 64]),
    value_dim=st.sampled_from([None, None, 8]),
)
LAYERS = st.lists(SPECS, min_size=1, max_size=3, unique=True).flatmap(
    lambda specs: st.lists(st.sampled_from(specs), min_size=1, max_size=12)
)


@given(layers=LAYERS)
@settings(max_examples=60, deadline=None, database=None)
def test_a_block_is_one_groups_and_nobody_elses(layers: list[KVSpec]) -> None:
    """Every group fills a block of its own: all of it is there when all have, and nothing more."""
    groups = KVGroups.of(layers, strided_blocks=True)
    count = len(groups.specs)
    caches = groups.allocate(BlockMajor(), count + 1, 2, torch.device("cpu"))
    for layer, (k_BSGE, v_BSGE) in enumerate(caches):
        block = 1 + groups.group_of[layer]
        k_BSGE[block] = v_BSGE[block] = layer + 1
    for layer, (k_BSGE, v_BSGE) in enumerate(caches):
        block = 1 + groups.group_of[layer]
        assert (k_BSGE[block] == layer + 1).all(), "layers of one group overlap"
        assert (v_BSGE[block] == layer + 1).all(), "layers of one group overlap"
        assert not k_BSGE[0].any(), "a write left its block"


@given(layers=LAYERS)
@settings(max_examples=60, deadline=None, database=None)
def test_sharing_pages_never_costs_more(layers: list[KVSpec]) -> None:
    """Bytes of a token that all groups keep."""
    shared, apart = (KVGroups.of(layers, strided) for strided in (True, False))
    costs = [len(each.specs) * each.block_bytes(1) for each in (shared, apart)]
    assert costs[0] <= costs[1]
    assert costs[0] >= sum(spec.bytes_per_token for spec in layers)
