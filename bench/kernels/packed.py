"""Linears of packed weights on this GPU, beside the library's on the same weights in bfloat16.

    python bench/kernels/packed.py [--bits 4 8] [--group 128] [--minima] [--only M M] [--sweep]
                                   [--yardstick]

Times are of CUDA graphs over weights beyond the L2. A ratio is the library's time over ours: more
than 1 is a gain. --sweep tries other tiles for each number of tokens, on all shapes together, and
prints the best rows for "packed" or "packed_minima", "packed_warps", "packed_ring", "packed_gemv"
and "packed_rows" in tuned/ARCHITECTURE.json; what is wrong is named and left out. --minima draws
weights as GGUF has them. --yardstick times humming-kernels beside, on weights of its own; it
compiles for minutes.

Shape suffixes: M tokens, N out features, K in features.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
import triton
from compiling import compile_all
from packed_ways import KERNELS, Way, ways
from packed_yardstick import linears
from timing import ROUNDS, graph_time
from torch import Tensor

from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight
from inferd_ops_triton.kernels.packed import multiply, unpack
from inferd_ops_triton.kernels.packed_gemv import packed_gemv
from inferd_ops_triton.packed import in_gluon, unpacked
from inferd_ops_triton.packing import PackedWeight
from inferd_ops_triton.tables import Route, packed_route, table

SHAPES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))  # N, K: of an 8B
TOKENS = (1, 8, 16, 32, 64, 128, 256, 1024, 2048)
BEYOND_L2 = 400_000_000  # bytes of weights in bfloat16
MOST_ERROR = 5e-3  # of norms; rounding to bfloat16 costs half of it


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, nargs="+", default=[4], choices=(4, 8))
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--minima", action="store_true", help="minima for zero points, as GGUF")
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="M")
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--yardstick", action="store_true", help="humming-kernels beside")
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
                if args.yardstick:
                    row["humming_us"] = yardstick((size, inner), tokens, args.group, len(weights))
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
    multiplied = ours(tokens, architecture, weights[0])
    taken = seconds(lambda weight: multiplied(x_MK, weight), weights)
    error = error_of(multiplied(x_MK, weights[0]), x_MK, weights[0])
    times = {"bf16_us": library * 1e6, "packed_us": taken * 1e6, "ratio": library / taken}
    return {**{name: round(value, 3) for name, value in times.items()}, "error": error}


def error_of(out_MN: Tensor, x_MK: Tensor, weight: PackedWeight) -> float:
    expected_MN = F.linear(x_MK.float(), unpack(weight, torch.bfloat16).float())
    return float((out_MN - expected_MN).norm() / expected_MN.norm())


def yardstick(shape: tuple[int, int], tokens: int, group: int, count: int) -> float:
    """Microseconds of humming-kernels' linear of 4 bits without zero points."""
    others = linears(*shape, group, count)
    x_MK = torch.randn(tokens, shape[1], device="cuda", dtype=torch.bfloat16)
    return round(seconds(lambda other: other(x_MK), others) * 1e6, 3)


def ours(tokens: int, architecture: str, weight: PackedWeight) -> Way:
    """What the table says for so many tokens."""
    rows = table(architecture)
    route = packed_route(architecture, tokens, weight.minima_GN is not None)
    if tokens == 1:
        single = Route(*rows["packed_gemv"])
        return lambda x_MK, weight: packed_gemv(x_MK, weight, None, single)
    for launch, route_of in in_gluon():
        if launch.takes(weight) and (way := route_of(architecture, tokens)) is not None:
            return partial(in_gluon_by, launch, way)
    if route is None:
        return lambda x_MK, weight: unpacked(x_MK, weight, None, rows["packed_rows"])
    return lambda x_MK, weight: multiply(x_MK, weight, None, route)


def in_gluon_by(launch: ModuleType, way: Any, x_MK: Tensor, weight: PackedWeight) -> Tensor:
    return launch.multiply(x_MK, weight, None, way)


def inputs(weights: list[PackedWeight], tokens: int) -> Tensor:
    return torch.randn(tokens, weights[0].shape[1], device="cuda", dtype=torch.bfloat16)


def seconds(each: Callable[[Any], Tensor], weights: list[Any], rounds: int = ROUNDS) -> float:
    return graph_time(lambda: [each(weight) for weight in weights], rounds) / len(weights)


def sweep(drawn: list[list[PackedWeight]], tokens: int, architecture: str) -> dict[str, float]:
    """The ways in which one linear of each shape takes least, and the microseconds of all."""
    tried = dict(ways(tokens, packed_route(architecture, tokens) is None, drawn[0][0]))
    firsts = [(inputs(weights, tokens), weights[0]) for weights in drawn]
    compile_all(KERNELS, (partial(way, *first) for way in tried.values() for first in firsts))
    times = {}
    for name, way in tried.items():
        try:
            if (error := max(error_of(way(*first), *first) for first in firsts)) > MOST_ERROR:
                print(f"left out: {name} is wrong by {error:.1e}", flush=True)
            else:
                times[name] = sum(with_way(weights, tokens, way) for weights in drawn)
        except triton.runtime.errors.OutOfResources:
            continue
    ranked = sorted(times, key=lambda each: times[each])[:8]
    return {name: round(times[name] * 1e6, 1) for name in ranked}


def with_way(weights: list[PackedWeight], tokens: int, way: Way) -> float:
    x_MK = inputs(weights, tokens)
    return seconds(lambda weight: way(x_MK, weight), weights, 3)


if __name__ == "__main__":
    main()
