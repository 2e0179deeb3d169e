"""Which kernel and tiles each linear of a model takes: all candidates, with a cold L2.

Shape suffixes: M tokens, N out features, K in features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from compiling import compile_all
from ops_step import Shape, normal
from timing import graph_time
from torch import Tensor
from torch.nn.functional import linear as library

from inferd_ops_triton.kernels import gemv, skinny
from inferd_ops_triton.kernels.chain import Chain
from inferd_ops_triton.linear import KERNELS
from inferd_ops_triton.tables import BUCKETS, LIBRARY, Route

MOST = BUCKETS[-1]
COLD = 400_000_000  # bytes of distinct weights: eight times the L2
SHARED = 220_000
TILES = [  # block_n, block_k, warps, stages
    (16, 256, 4, 3), (16, 256, 4, 4), (16, 512, 4, 3), (16, 256, 2, 4),
    (32, 128, 4, 4), (32, 128, 4, 6), (32, 256, 4, 3), (32, 256, 4, 4), (32, 512, 4, 3),
    (64, 64, 4, 4), (64, 64, 4, 6), (64, 128, 4, 3), (64, 128, 4, 4), (64, 128, 4, 5),
    (64, 256, 4, 3), (64, 256, 8, 3), (64, 256, 4, 4),
    (128, 64, 4, 4), (128, 64, 8, 4), (128, 64, 4, 6), (128, 128, 4, 3), (128, 128, 8, 3),
    (128, 128, 4, 4), (128, 128, 8, 4),
]  # fmt: skip
MANY_TILES = [  # for more than 64 tokens
    (64, 64, 4, 3), (64, 64, 4, 4), (64, 64, 4, 5), (64, 64, 8, 4), (64, 64, 8, 5),
    (64, 128, 4, 3), (64, 128, 4, 4), (64, 128, 8, 3), (64, 128, 8, 4),
    (128, 64, 4, 3), (128, 64, 4, 4), (128, 64, 4, 5), (128, 64, 8, 3), (128, 64, 8, 4),
    (128, 64, 8, 5), (128, 128, 4, 3), (128, 128, 8, 3), (256, 64, 8, 3), (256, 64, 8, 4),
]  # fmt: skip
KERNEL_NAMES = [(gemv, "gemv_kernel"), (skinny, "skinny_kernel"), (skinny, "add_parts_kernel")]
FEW = 8192  # out features up to which cutting K may pay


def candidates(tokens: int, size: int, inner: int) -> Iterator[Route]:
    if tokens == 1:
        yield from one_token(inner)
    if tokens > 64:
        yield from many_tokens(size, inner)
        return
    for block_n, block_k, warps, stages in TILES:
        for block_m in {max(16, tokens), tokens} - {1}:
            shared = 2 * stages * block_k * (block_n + block_m)
            for parts in (1, 2, 4) if size <= FEW and block_n > 16 else (1,):
                if tokens > 1 and shared <= SHARED and inner // parts >= block_k:
                    yield Route("skinny", block_m, block_n, block_k, warps, stages, parts)


def many_tokens(size: int, inner: int) -> Iterator[Route]:
    for block_n, block_k, warps, stages in MANY_TILES:
        shared = 2 * stages * block_k * (block_n + MOST)
        for parts in (1, 2, 4, 8) if size <= FEW else (1,):
            programs = -(-size // block_n) * parts
            if shared <= SHARED and inner // parts >= block_k and 64 <= programs <= 4096:
                yield Route("skinny", MOST, block_n, block_k, warps, stages, parts)


def one_token(inner: int) -> Iterator[Route]:
    for block_n in (1, 2, 4, 8, 16):
        for block_k in (256, 512, 1024, 2048, 4096):
            for warps in (2, 4, 8):
                share = block_n * block_k // (32 * warps)  # elements a thread holds of a tile
                if 8 <= share <= 64 and block_k <= inner:
                    yield Route("gemv", 1, block_n, block_k, warps, 1, 1)


def sweep(
    shape: Shape, buckets: Sequence[int], chain: Chain, log: Callable[[str], None]
) -> dict[str, dict[str, list]]:
    """Rows of a table: "NxK" -> tokens -> route."""
    table = {}
    for name, (size, inner, _) in shape.linears().items():
        table[f"{size}x{inner}"] = rows = {}
        copies = max(2, min(16, COLD // (2 * size * inner)))
        sets = [normal(size, inner, scale=inner**-0.5) for _ in range(copies)]
        for tokens in buckets:
            rows[str(tokens)] = best(name, tokens, sets, chain, log)
    return table


def best(
    name: str, tokens: int, sets: list[Tensor], chain: Chain, log: Callable[[str], None]
) -> list:
    size, inner = sets[0].shape
    x = normal(tokens, inner)
    tried = list(candidates(tokens, size, inner))
    compile_all(
        KERNEL_NAMES, (partial(KERNELS[r.kernel], x, sets[0], None, r, chain) for r in tried)
    )
    reference = graph_time(lambda: [library(x, w) for w in sets], 5) / len(sets)
    times: dict[Route, float] = {}
    for route in tried:
        try:
            times[route] = time_of(x, sets, route, chain)
        except Exception as error:
            log(f"left out: {route}: {type(error).__name__}: {str(error)[:80]}")
            torch.cuda.synchronize()
    ranked = sorted(times, key=times.get)
    rate = 2 * size * inner / 1e12
    log(f"{name} [{size}, {inner}] x {tokens}: library {reference * 1e6:.1f} us")
    for route in ranked[:3]:
        log(f"  {times[route] * 1e6:7.1f} us {rate / times[route]:5.2f} TB/s  {row(route)}")
    if not ranked or times[ranked[0]] >= reference:
        return [LIBRARY]
    check(x, sets[0], ranked[0], chain)
    return row(ranked[0])


def time_of(x: Tensor, sets: list[Tensor], route: Route, chain: Chain) -> float:
    kernel = KERNELS[route.kernel]
    return graph_time(lambda: [kernel(x, w, None, route, chain) for w in sets], 5) / len(sets)


def row(route: Route) -> list:
    return [getattr(route, name) for name in Route.__slots__]


def check(x: Tensor, weight: Tensor, route: Route, chain: Chain) -> None:
    found = KERNELS[route.kernel](x, weight, None, route, chain).float()
    expected = x.float() @ weight.float().T
    off = ((found - expected).abs().max() / expected.abs().max()).item()
    assert off < 1e-2, f"{route} of {list(weight.shape)}: off by {off:.1e}"
