"""Linears of packed weights on this GPU, beside the library's on the same weights in bfloat16.

    python bench/kernels/packed.py [--bits 4 8] [--group 128] [--minima] [--only M M] [--sweep]

Times are of CUDA graphs over weights beyond the L2. A ratio is the library's time over ours: more
than 1 is a gain. --sweep tries other tiles for each number of tokens, on all shapes together, and
prints the best rows for "packed" or "packed_minima", "packed_ring", "packed_gemv" and
"packed_rows" in tuned/ARCHITECTURE.json. --minima draws weights as GGUF has them.

Shape suffixes: M tokens, N out features, K in features.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import triton
from timing import ROUNDS, graph_time
from torch import Tensor

from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight
from inferd_ops_triton.kernels import launch_ring
from inferd_ops_triton.kernels.packed import multiply, unpack
from inferd_ops_triton.kernels.packed_gemv import packed_gemv
from inferd_ops_triton.packed import unpacked
from inferd_ops_triton.packing import PackedWeight
from inferd_ops_triton.tables import PackedRoute, RingRoute, Route, packed_route, ring_route, table

SHAPES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))  # N, K: of an 8B
TOKENS = (1, 8, 16, 32, 64, 128, 256, 1024, 2048)
BEYOND_L2 = 400_000_000  # bytes of weights in bfloat16
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, nargs="+", default=[4], choices=(4, 8))
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--minima", action="store_true", help="minima for zero points, as GGUF")
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="M")
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    major, minor = torch.cuda.get_device_capability()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    found, architecture = {}, f"sm_{major}{minor}"
    for bits in args.bits:
        form = f"w{bits}_{'m' if args.minima else 'g'} of {args.group}"
        drawn = [draw(bits, size, inner, args.group, args.minima) for size, inner in SHAPES]
        for tokens in args.only:
            for weights in drawn:
                (size, inner), row = weights[0].shape, measure(weights, tokens, architecture)
                found[f"{form} {size}x{inner} {tokens}"] = row
                print(f"{form} {size:6}x{inner:<6} {tokens:5} {json.dumps(row)}", flush=True)
            if args.sweep:
                found[f"{form} {tokens} tiles"] = row = sweep(drawn, tokens, architecture)
                print(f"{form} {tokens:5} tokens {json.dumps(row)}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def draw(bits: int, size: int, inner: int, group: int, minima: bool) -> list[PackedWeight]:
    """So many that they do not stay in the L2."""
    weights = []
    for _ in range(-(-BEYOND_L2 // (2 * size * inner))):
        packed_NB = torch.randint(256, (size, inner * bits // 8), dtype=torch.uint8, device="cuda")
        scales_NG = (torch.rand(size, inner // group, device="cuda") * 0.01).half()
        coded: GroupedWeight | MinimumWeight = GroupedWeight(bits, packed_NB, scales_NG)
        if minima:
            coded = MinimumWeight(bits, packed_NB, scales_NG, -scales_NG * 8)
        weights.append(PackedWeight.of(coded, torch.bfloat16))
    return weights


def measure(weights: list[PackedWeight], tokens: int, architecture: str) -> dict[str, float]:
    """Microseconds of one linear: the library's, ours, and their ratio; our relative error.

    The error is against products in float32 of the weight rounded to bfloat16.
    """
    x_MK = inputs(weights, tokens)
    dense = [unpack(weight, torch.bfloat16) for weight in weights]
    library = seconds(lambda w_NK: F.linear(x_MK, w_NK), dense)
    del dense
    multiplied = ours(tokens, architecture, weights[0].minima_GN is not None)
    taken = seconds(lambda weight: multiplied(x_MK, weight), weights)
    expected_MN = F.linear(x_MK.float(), unpack(weights[0], torch.bfloat16).float())
    error = (multiplied(x_MK, weights[0]) - expected_MN).norm() / expected_MN.norm()
    times = {"bf16_us": library * 1e6, "packed_us": taken * 1e6, "ratio": library / taken}
    return {**{name: round(value, 3) for name, value in times.items()}, "error": float(error)}


def ours(tokens: int, architecture: str, minima: bool) -> Callable[[Tensor, PackedWeight], Tensor]:
    """What the table says for so many tokens."""
    rows, route = table(architecture), packed_route(architecture, tokens, minima)
    if tokens == 1:
        single = Route(*rows["packed_gemv"])
        return lambda x_MK, weight: packed_gemv(x_MK, weight, None, single)
    if (way := ring_route(architecture, tokens)) is not None:
        return lambda x_MK, weight: launch_ring.multiply(x_MK, weight, None, way)
    if route is None:
        return lambda x_MK, weight: unpacked(x_MK, weight, None, rows["packed_rows"])
    return lambda x_MK, weight: multiply(x_MK, weight, None, route)


def inputs(weights: list[PackedWeight], tokens: int) -> Tensor:
    return torch.randn(tokens, weights[0].shape[1], device="cuda", dtype=torch.bfloat16)


def seconds(each: Callable[[Any], Tensor], weights: list[Any], rounds: int = ROUNDS) -> float:
    return graph_time(lambda: [each(weight) for weight in weights], rounds) / len(weights)


def sweep(drawn: list[list[PackedWeight]], tokens: int, architecture: str) -> dict[str, float]:
    """The ways in which one linear of each shape takes least, and the microseconds of all."""
    many = packed_route(architecture, tokens) is None
    times = {}
    for name, way in ways(tokens, many):
        try:
            times[name] = sum(with_way(weights, tokens, way) for weights in drawn)
        except triton.runtime.errors.OutOfResources:
            continue
    ranked = sorted(times, key=lambda each: times[each])[:8]
    return {name: round(times[name] * 1e6, 1) for name in ranked}


Way = Callable[[Tensor, PackedWeight], Tensor]


def ways(tokens: int, many: bool) -> Iterator[tuple[str, Way]]:
    if tokens == 1:
        return singles()
    if many:
        return itertools.chain(by_rows(), by_ring(256))
    return itertools.chain(by_tiles(tokens), by_ring(tokens))


def singles() -> Iterator[tuple[str, Way]]:
    """A thread has four words of 32 bits of each row."""
    for block_n, warps in itertools.product((2, 4, 8, 16), (2, 4)):
        route = Route("gemv", 1, block_n, 1024 * warps, warps, 1, 1)
        yield str([*astuple(route)]), lambda x, weight, r=route: packed_gemv(x, weight, None, r)


def by_tiles(tokens: int) -> Iterator[tuple[str, Way]]:
    padded = max(16, triton.next_power_of_2(tokens))
    tiles = FEW_TILES if tokens <= 64 else MANY_TILES
    for block_m in {padded, padded if tokens < 64 else padded // 2}:
        for (block_n, warps), stages, programs in itertools.product(*tiles.values()):
            route = PackedRoute(tokens, block_m, block_n, warps, stages, programs, pairs=True)
            yield str([*astuple(route)]), lambda x, weight, r=route: multiply(x, weight, None, r)


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


def with_way(weights: list[PackedWeight], tokens: int, way: Way) -> float:
    x_MK = inputs(weights, tokens)
    return seconds(lambda weight: way(x_MK, weight), weights, 3)


if __name__ == "__main__":
    main()
