"""All matrices of SmolLM2's layers on this CPU, and its output head: each format beside oneDNN.

    python -m bench.kernels.cpu_linear [--rows 1 16 512] [--makers bfloat16 oneDNN w4_m w8_g]

Milliseconds by number of rows, the fastest of rounds in which all alternate. oneDNN has its own
packed weights; those of 4 and 8 bits are in groups of 32. Weights are random; no two layers share
one, so that they come from memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from inferd.cli.bench.report import table
from inferd.contracts.ops import OpRequest
from inferd.testing.packed_weights import draw_grouped, draw_minimum
from inferd_cpu_numba.ops import NumbaOps

LAYERS = 30
SHAPES = [(960, 576), (576, 576), (3072, 576), (576, 1536)]  # outputs, inputs
HEAD = (49152, 576)
ROWS = (1, 8, 16, 28, 64, 512)
ROUNDS = 9
GROUP = 32
Linear = Callable[[Tensor], Tensor]


def onednn(outputs: int, inputs: int) -> Linear:
    packed = torch.ops.mkldnn._reorder_linear_weight(drawn(outputs, inputs))
    return lambda x_TK: torch.ops.mkldnn._linear_pointwise(x_TK, packed, None, "none", [], "")


def drawn(outputs: int, inputs: int) -> Tensor:
    return (torch.randn(outputs, inputs) / inputs**0.5).bfloat16()


def makers() -> dict[str, Callable[[int, int], Linear]]:
    offered: Any = NumbaOps().ops(OpRequest("cpu", "any", torch.bfloat16))
    make = offered["linear"]

    def symmetric(bits: int, *shape: int) -> Linear:
        return make[f"w{bits}_g"](draw_grouped(0, bits, (*shape, GROUP), zeros=False), None)

    def minimum(bits: int, *shape: int) -> Linear:
        return make[f"w{bits}_m"](draw_minimum(0, bits, (*shape, GROUP)), None)

    return {
        "bfloat16": lambda *shape: make["dense"](drawn(*shape), None),
        "oneDNN": onednn,
        **{f"w{bits}_g": partial(symmetric, bits) for bits in (4, 8)},
        **{f"w{bits}_m": partial(minimum, bits) for bits in (4, 8)},
    }


def milliseconds(linears: Sequence[tuple[Linear, int]], rows: int) -> float:
    """`linears` with their inputs."""
    inputs = {size: torch.randn(rows, size).bfloat16() for _, size in linears}
    began = time.perf_counter()
    for linear, size in linears:
        linear(inputs[size])
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kernels.cpu_linear", description=__doc__)
    known = makers()
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--makers", nargs="+", choices=known, default=["bfloat16", "oneDNN"])
    args = parser.parse_args()
    lines = []
    with torch.inference_mode():
        for what, shapes in (("layers", SHAPES * LAYERS), ("head", [HEAD])):
            made = [[(known[name](*shape), shape[1]) for shape in shapes] for name in args.makers]
            for rows in args.rows:
                rounds = [[milliseconds(each, rows) for each in made] for _ in range(ROUNDS)]
                best = [f"{min(times):.1f}" for times in zip(*rounds, strict=True)]
                lines.append([what, str(rows), *best])
    print(table(["matrices", "rows", *args.makers], lines))


if __name__ == "__main__":
    main()
