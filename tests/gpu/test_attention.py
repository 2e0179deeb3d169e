"""Paged attention in Triton against float64, and recorded in a graph against itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from paged import Paged, Row
from torch import Tensor

from inferd.testing.attention_cases import (
    ALIBI_CASES,
    CASES,
    LATENT_CASES,
    NARROW_CASES,
    SINK_CASES,
    AttentionCase,
)
from inferd.testing.attention_step import Step
from inferd.testing.numbers import DTYPES, check_close
from inferd.types import Batch

pytestmark = pytest.mark.gpu

DECODES: list[Row] = [(1, 1), (1, 2500), (1, 64), (1, 63), (1, 65), (1, 17), (1, 800)]
PREFILLS: list[Row] = [(300, 300), (2, 2), (65, 700), (17, 17), (129, 129)]
SKEWED: list[Row] = [(1, 512)] * 31 + [(1, 32768)] + [(1, 512)] * 32
SIZES = (64, 80, 96, 112, 128, 192, 256)


def check(paged: Paged, name: str) -> None:
    dtype = str(paged.params.spec.dtype).removeprefix("torch.")
    check_close(name, paged.run(paged.exact()), paged.expected().cpu(), dtype)


EVERY = CASES + NARROW_CASES + ALIBI_CASES + SINK_CASES + LATENT_CASES


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_contract_cases(case: AttentionCase) -> None:
    step = Step(case, torch.device("cuda"))
    backend = Paged([(1, 1)]).backend
    plan = backend.plan(step.batch, 1, step.spec, case.block_size)
    for layer in range(2):
        caches = step.fill(backend, layer)
        found_THE = backend.forward(step.queries(layer), *caches, plan, step.params)
        check_close(str(case), found_THE, step.expected(layer), case.dtype)


@pytest.mark.parametrize("block", [16, 32, 64])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_head_and_block_sizes(dtype: str, size: int, block: int) -> None:
    check(Paged(DECODES + PREFILLS, DTYPES[dtype], size=size, block=block), f"{size} {block}")


@pytest.mark.parametrize("block", [16, 64])
@pytest.mark.parametrize("heads", [16, 20, 128])
@pytest.mark.parametrize("dtype", DTYPES)
def test_latents(dtype: str, heads: int, block: int) -> None:
    paged = latents(DECODES + PREFILLS, DTYPES[dtype], heads=heads, block=block)
    check(paged, f"latents, {heads} heads")


@pytest.mark.parametrize("heads", [16, 128])
@pytest.mark.parametrize("rows", [[(1, 2048)] * 64, [(1, 50_000)], [(700, 3000)]])
def test_long_latents(rows: list[Row], heads: int) -> None:
    check(latents(rows, heads=heads), f"{len(rows)} rows")


def latents(rows: list[Row], dtype: torch.dtype = torch.bfloat16, **more: int) -> Paged:
    """As DeepSeek has them."""
    return Paged(rows, dtype, kv_heads=1, size=576, value_dim=512, **more)


@pytest.mark.parametrize("window", [1, 100, 1000])
@pytest.mark.parametrize("soft_cap", [None, 5.0])
def test_windows(window: int, soft_cap: float | None) -> None:
    check(Paged(DECODES + PREFILLS, window=window, soft_cap=soft_cap), f"window {window}")


@pytest.mark.parametrize("rows", [SKEWED, [(1, 8192)], [(1, 100000)], [(1, 576)] * 128])
def test_long_and_skewed_decodes(rows: list[Row]) -> None:
    check(Paged(rows), f"{len(rows)} rows")


@pytest.mark.parametrize("rows", [[(2048, 2048)], [(512, 8192)], [(1, 4000), (1000, 1500)]])
def test_long_prefills(rows: list[Row]) -> None:
    check(Paged(rows), f"{rows}")


RING: list[Row] = [(700, 700), (2, 2), (65, 700), (513, 3001), (129, 129), (40, 8192), (33, 100)]


@pytest.mark.parametrize("block", [16, 64, 128])
@pytest.mark.parametrize("kv_heads", [4, 8, 16, 32])
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_prefills_through_a_ring(dtype: str, size: int, kv_heads: int, block: int) -> None:
    """On sm_90 by kernels/hopper.py; rows end within a page, a tile, or the first of either."""
    paged = Paged(RING, DTYPES[dtype], size=size, kv_heads=kv_heads, block=block)
    check(paged, f"{kv_heads} KV heads of {size}, blocks of {block}")


def test_a_cache_of_more_than_2_to_the_31_elements() -> None:
    """Blocks are scattered over all of it; 32-bit offsets would wrap."""
    paged = Paged([(1, 3000), (200, 900)], num_blocks=80_000)
    assert paged.caches[0].numel() * 2 > 2**31
    check(paged, "large cache")


def test_a_row_without_keys_gives_zeros() -> None:
    paged = Paged([(1, 100), (1, 200)])
    batch = paged.padded(4, 4, 20)
    batch.contexts_R[2:] = 0
    q_THE = torch.cat([paged.q_THE, paged.q_THE])
    assert torch.equal(paged.run(batch, q_THE)[2:], torch.zeros_like(q_THE[2:]))


BLOCKS = 12_000
RECORDED = {
    "uniform": (16, 16, [DECODES, [(1, 50_000)], [(1, 40)] * 16]),
    "mixed": (
        64,
        512,
        [
            [(1, 900), (1, 3), (300, 300)],
            [(1, 77)] * 40,
            [*[(1, 5000)] * 30, *[(14, 2000)] * 10],
            [(510, 1510)],
            [*[(1, 100)] * 3, *[(2, 30)] * 50],
        ],
    ),
    "long": (  # on sm_90 through kernels/hopper.py, whose programs come back for more blocks
        64,
        1024,
        [
            [(1, 900), (1, 3), (700, 700)],
            [*[(1, 77)] * 3, *[(16, 1000)] * 60],
            [(1000, 3000)],
            [*[(33, 2000)] * 30],
            [(1, 40)] * 40,
        ],
    ),
}


@pytest.mark.parametrize("make", [Paged, latents])
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_step_serves_every_mixture_that_fits(
    name: str, make: Callable[..., Paged]
) -> None:
    """Recorded with nothing but padding, replayed with other lengths, tables and contents."""
    rows, tokens, mixtures = RECORDED[name]
    fixed = make([], num_blocks=BLOCKS)
    batch = fixed.padded(rows, tokens, BLOCKS)
    size = fixed.params.spec.head_dim
    q_THE = torch.zeros(tokens, 32, size, dtype=torch.bfloat16, device="cuda")
    graph, out_THE = record(fixed, batch, q_THE)
    for seed, mixture in enumerate(mixtures):
        paged = make(mixture, num_blocks=BLOCKS, seed=seed)
        real = paged.padded(rows, tokens, BLOCKS)
        pairs = [(getattr(batch, n), getattr(real, n)) for n in ("query_starts_R1", "contexts_R")]
        pairs += [(batch.block_tables_RB[0], real.block_tables_RB[0])]
        pairs += zip(fixed.caches, paged.caches, strict=True)
        pairs += [(q_THE[: len(paged.q_THE)], paged.q_THE)]
        for to, source in pairs:
            to.copy_(source)
        graph.replay()
        check_close(f"{mixture}", out_THE[: len(paged.q_THE)], paged.expected().cpu(), "bfloat16")


def record(paged: Paged, batch: Batch, q_THE: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    paged.run(batch, q_THE)  # compiles
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out_THE = paged.run(batch, q_THE)
    return graph, out_THE
