"""Linears of packed weights on this GPU, beside the library's on the same weights in bfloat16.

    python bench/kernels/packed.py [--bits 4 8] [--group 128] [--only M M] [--sweep] [--json FILE]

Times are of CUDA graphs over weights beyond the L2. A ratio is the library's time over ours: more
than 1 is a gain. --sweep tries other tiles for each number of tokens, on all shapes together, and
prints the best rows for "packed" in tuned/ARCHITECTURE.json.

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

from inferd.contracts.weight_formats import GroupedWeight
from inferd_ops_triton.kernels.chain import ALONE
from inferd_ops_triton.kernels.packed import multiply, unpack
from inferd_ops_triton.packing import PackedWeight
from inferd_ops_triton.tables import PackedRoute, packed_route

SHAPES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))  # N, K: of an 8B
TOKENS = (1, 8, 16, 32, 64, 128, 256, 1024, 2048)
BEYOND_L2 = 400_000_000  # bytes of weights in bfloat16
FEW_TILES = {  # of --sweep; with 1 or 2 warps, or 32 rows, products are mma.sync instead of wgmma
    "block_n, warps": ((16, 1), (32, 1), (32, 2), (64, 2), (64, 4), (128, 4)),
    "stages": (3, 4, 6),
    "programs": (264, 528, 1056, 2112),
}
MANY_TILES = {
    "block_n, warps": ((32, 4), (64, 4), (64, 8), (128, 8)),
    "stages": (3, 4),
    "programs": (132, 264, 528),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, nargs="+", default=[4], choices=(4, 8))
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="M")
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    major, minor = torch.cuda.get_device_capability()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    found, architecture = {}, f"sm_{major}{minor}"
    for bits in args.bits:
        drawn = [draw(bits, size, inner, args.group) for size, inner in SHAPES]
        for tokens in args.only:
            route = packed_route(architecture, tokens)
            for weights in drawn:
                (size, inner), row = weights[0].shape, measure(weights, tokens, route)
                found[f"w{bits} {size}x{inner} {tokens}"] = row
                print(
                    f"w{bits} {size:6}x{inner:<6} {tokens:5} tokens {json.dumps(row)}", flush=True
                )
            if args.sweep and route is not None:
                found[f"w{bits} {tokens} tiles"] = row = sweep(drawn, tokens)
                print(f"w{bits} {tokens:5} tokens {json.dumps(row)}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def draw(bits: int, size: int, inner: int, group: int) -> list[PackedWeight]:
    """So many that they do not stay in the L2."""
    weights = []
    for _ in range(-(-BEYOND_L2 // (2 * size * inner))):
        packed_NB = torch.randint(256, (size, inner * bits // 8), dtype=torch.uint8, device="cuda")
        scales_NG = torch.rand(size, inner // group, device="cuda") * 0.01
        grouped = GroupedWeight(bits, packed_NB, scales_NG)
        weights.append(PackedWeight.of(grouped, torch.bfloat16))
    return weights


def measure(
    weights: list[PackedWeight], tokens: int, route: PackedRoute | None
) -> dict[str, float]:
    """Microseconds of one linear: the library's, ours, and their ratio."""
    x_MK = inputs(weights, tokens)
    dense = [unpack(weight) for weight in weights]
    library = seconds(lambda w_NK: F.linear(x_MK, w_NK), dense)
    del dense
    if route is None:
        ours = seconds(lambda weight: F.linear(x_MK, unpack(weight)), weights)
    else:
        ours = seconds(lambda weight: multiply(x_MK, weight, None, route, ALONE), weights)
    return {"bf16_us": library * 1e6, "packed_us": ours * 1e6, "ratio": library / ours}


def inputs(weights: list[PackedWeight], tokens: int) -> Tensor:
    return torch.randn(tokens, weights[0].shape[1], device="cuda", dtype=torch.bfloat16)


def seconds(each: Callable[[Any], Tensor], weights: list[Any], rounds: int = ROUNDS) -> float:
    return graph_time(lambda: [each(weight) for weight in weights], rounds) / len(weights)


def sweep(drawn: list[list[PackedWeight]], tokens: int) -> dict[str, object]:
    """The tiles with which one linear of each shape takes least, and how long."""
    times = {}
    for route in candidates(tokens):
        try:
            times[route] = sum(with_tiles(weights, tokens, route) for weights in drawn)
        except triton.runtime.errors.OutOfResources:
            continue
    ranked = sorted(times, key=lambda each: times[each])[:5]
    return {str([*astuple(route)]): times[route] * 1e6 for route in ranked}


def candidates(tokens: int) -> Iterator[PackedRoute]:
    padded = max(16, triton.next_power_of_2(tokens))
    tiles = FEW_TILES if tokens <= 64 else MANY_TILES
    for block_m in {padded, padded if tokens < 64 else padded // 2}:
        for (block_n, warps), stages, programs in itertools.product(*tiles.values()):
            yield PackedRoute(tokens, block_m, block_n, warps, stages, programs, pairs=True)


def with_tiles(weights: list[PackedWeight], tokens: int, route: PackedRoute) -> float:
    x_MK = inputs(weights, tokens)
    return seconds(lambda weight: multiply(x_MK, weight, None, route, ALONE), weights, 3)


if __name__ == "__main__":
    main()
