"""The ways in which bench/kernels/packed.py --sweep multiplies packed weights.

Shape suffixes as there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import astuple

import triton
from torch import Tensor

from inferd_ops_triton.kernels import launch_ring, launch_warps, packed, packed_gemv
from inferd_ops_triton.packed import unpacked
from inferd_ops_triton.packing import PackedWeight
from inferd_ops_triton.tables import PackedRoute, Route
from inferd_ops_triton.tables_gluon import RingRoute, WarpsRoute

KERNELS = [
    (packed, "packed_kernel"),
    (packed_gemv, "packed_gemv_kernel"),
    (launch_ring, "packed_ring_kernel"),
    (launch_warps, "packed_warps_kernel"),
    (launch_warps, "add_shares_kernel"),
]
FEW_TILES = {  # of --sweep; with 2 warps, or 32 rows, products are mma.sync instead of wgmma
    "block_n, warps": ((32, 2), (64, 4), (128, 4)),
    "stages": (3, 4),
    "programs": (264, 528, 1056),
}
MANY_TILES = {
    "block_n, warps": ((64, 4), (64, 8), (128, 8)),
    "stages": (3, 4),
    "programs": (132, 264, 528),
}

WARPS = {  # with a program, or two, to a multiprocessor; a warp has 32 or 64 rows
    "rows, warps_n, warps_k, programs, resident": (
        (64, 2, 2, 264, 2), (64, 1, 4, 264, 2), (128, 2, 4, 132, 1), (128, 4, 2, 132, 1),
        (256, 4, 2, 132, 1),
    ),
    "buffers": (2, 3, 4),
}  # fmt: skip


Way = Callable[[Tensor, PackedWeight], Tensor]


def ways(tokens: int, many: bool, weight: PackedWeight) -> Iterator[tuple[str, Way]]:
    if tokens == 1:
        return singles()
    ring = launch_ring.takes(weight)
    if many:
        return itertools.chain(by_rows(), by_ring(256) if ring else ())
    warps = tokens <= 64 and launch_warps.takes(weight)
    return itertools.chain(
        by_tiles(tokens), by_ring(tokens) if ring else (), by_warps(tokens) if warps else ()
    )


def singles() -> Iterator[tuple[str, Way]]:
    """A thread has four words of 32 bits of each row."""
    for block_n, warps in itertools.product((2, 4, 8, 16), (2, 4)):
        route = Route("gemv", 1, block_n, 1024 * warps, warps, 1, 1)
        yield (
            str([*astuple(route)]),
            lambda x, weight, r=route: packed_gemv.packed_gemv(x, weight, None, r),
        )


def by_tiles(tokens: int) -> Iterator[tuple[str, Way]]:
    padded = max(16, triton.next_power_of_2(tokens))
    tiles = FEW_TILES if tokens <= 64 else MANY_TILES
    for block_m in {padded, padded if tokens < 64 else padded // 2}:
        for (block_n, warps), stages, programs in itertools.product(*tiles.values()):
            route = PackedRoute(tokens, block_m, block_n, warps, stages, programs, pairs=True)
            yield (
                str([*astuple(route)]),
                lambda x, weight, r=route: packed.multiply(x, weight, None, r),
            )


def by_ring(tokens: int) -> Iterator[tuple[str, Way]]:
    block_m = max(16, triton.next_power_of_2(tokens))
    most = min(8, 1 + 320 // (block_m + 32))  # buffers that shared memory has room for
    rows_of = (64, 128) if block_m < 128 else (64,)  # of more there are too few registers
    for rows, buffers, programs in itertools.product(
        rows_of, {most, max(2, most // 2)}, (132, 264)
    ):
        route = RingRoute(tokens, tokens, block_m, rows, buffers, programs)
        name = f"ring {[*astuple(route)]}"
        yield name, lambda x, weight, r=route: launch_ring.multiply(x, weight, None, r)


def by_rows() -> Iterator[tuple[str, Way]]:
    for rows in (0, 1024, 2048, 4096, 8192):
        yield f"{rows} rows", lambda x, weight, r=rows: unpacked(x, weight, None, r)


def by_warps(tokens: int) -> Iterator[tuple[str, Way]]:
    block_m = max(8, triton.next_power_of_2(tokens))
    for sizes, buffers in itertools.product(*WARPS.values()):
        rows, warps_n, warps_k, programs, resident = sizes
        if rows // warps_n * block_m <= 2048:  # of more there are too few registers
            route = WarpsRoute(
                tokens, tokens, block_m, rows, warps_n, warps_k, buffers, programs, resident
            )
            name = f"warps {[*astuple(route)]}"
            yield name, lambda x, weight, r=route: launch_warps.multiply(x, weight, None, r)
