"""act(gate) * up in one kernel on this GPU, beside the library's product and the op after it.

    python bench/kernels/gated.py [--only M M] [--shape 28672x4096] [--sweep]

Times are of CUDA graphs over weights beyond the L2; a ratio of more than 1 is a gain. --sweep tries
other orders of tiles and numbers of buffers for "gated" in tuned/ARCHITECTURE.json.

Shape suffixes: M tokens, N = 2 I rows of W, K in features, I intermediate.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from dataclasses import astuple

import torch
import torch.nn.functional as F
from timing import graph_time
from torch import Tensor

from inferd_ops_triton.kernels.activation import act_and_mul
from inferd_ops_triton.kernels.launch_gated import gated
from inferd_ops_triton.tables import GatedTiles

TOKENS = (256, 512, 1024, 2048, 4096, 8192)
BEYOND_L2 = 400_000_000  # bytes of weights
TURNS = 5
TILES = GatedTiles(0, 8, 3)
SWEPT = tuple(GatedTiles(0, *row) for row in itertools.product((4, 8, 16, 32), (3, 4)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="M")
    parser.add_argument("--shape", default="28672x4096", help="of gate and up together")
    parser.add_argument("--act", default="silu")
    parser.add_argument("--sweep", action="store_true")
    args = parser.parse_args()
    size, inner = map(int, args.shape.split("x"))
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    weights = [
        torch.randn(size, inner, device="cuda", dtype=torch.bfloat16) * inner**-0.5
        for _ in range(-(-BEYOND_L2 // (2 * size * inner)))
    ]
    for tokens in args.only:
        x_MK = torch.randn(tokens, inner, device="cuda", dtype=torch.bfloat16)
        print(f"{tokens:6} {json.dumps(measure(weights, x_MK, args.act, TILES))}", flush=True)
        for tiles in SWEPT if args.sweep else ():
            row = measure(weights, x_MK, args.act, tiles)
            print(f"{tokens:6} {[*astuple(tiles)]} {json.dumps(row)}", flush=True)


def measure(weights: list[Tensor], x_MK: Tensor, act: str, tiles: GatedTiles) -> dict[str, float]:
    """Microseconds in turn, as a card that is hot is slower, TFLOP/s, and the relative error."""
    (size, inner), tokens = weights[0].shape, len(x_MK)
    ways = [gated(weight_NK, act, tiles) for weight_NK in weights]
    runs: dict[str, Callable[[], object]] = {
        "library": lambda: [F.linear(x_MK, each) for each in weights],
        "and_act": lambda: [act_and_mul(F.linear(x_MK, each), act) for each in weights],
        "gated": lambda: [way(x_MK) for way in ways],
    }
    turns = [{name: graph_time(run, 3) for name, run in runs.items()} for _ in range(TURNS)]
    us = {
        name: statistics.median(turn[name] for turn in turns) / len(weights) * 1e6 for name in runs
    }
    row = {f"{name}_us": round(value, 1) for name, value in us.items()}
    row["ratio"] = round(us["and_act"] / us["gated"], 3)
    row["tflops"] = round(2 * tokens * size * inner / us["gated"] / 1e6, 1)
    return {**row, "error": error(weights[0], x_MK, act, ways[0](x_MK))}


def error(weight_NK: Tensor, x_MK: Tensor, act: str, found_MI: Tensor) -> float:
    """Beside float64, of the first, the last and some rows between, by the norm of all."""
    rows = torch.linspace(0, len(x_MK) - 1, 64, device="cuda").long().unique()
    gate, up = F.linear(x_MK[rows].double(), weight_NK.double()).chunk(2, -1)
    activation = F.silu(gate) if act == "silu" else F.gelu(gate, approximate="tanh")
    expected = activation * up
    return float((found_MI[rows] - expected).norm() / expected.norm())


if __name__ == "__main__":
    main()
