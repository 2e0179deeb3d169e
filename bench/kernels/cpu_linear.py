"""All matrices of SmolLM2's layers on this CPU, and its output head, beside oneDNN.

`python -m bench.kernels.cpu_linear`: milliseconds by number of rows, the fastest of rounds in
which both alternate. oneDNN has its own packed weights. Weights are random; no two layers share
one, so that they come from memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from inferd.cli.bench.report import table
from inferd.contracts.ops import OpRequest
from inferd_cpu_numba.ops import NumbaOps

LAYERS = 30
SHAPES = [(960, 576), (576, 576), (3072, 576), (576, 1536)]  # outputs, inputs
HEAD = (49152, 576)
ROWS = (1, 8, 16, 28, 64, 512)
ROUNDS = 9
Linears = Sequence[tuple[Callable[[Tensor], Tensor], int]]  # with their inputs


def onednn(weight_NK: Tensor, _bias: None) -> Callable[[Tensor], Tensor]:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight_NK)
    return lambda x_TK: torch.ops.mkldnn._linear_pointwise(x_TK, packed, None, "none", [], "")


def milliseconds(linears: Linears, rows: int) -> float:
    inputs = {size: torch.randn(rows, size).bfloat16() for _, size in linears}
    began = time.perf_counter()
    for linear, size in linears:
        linear(inputs[size])
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    offered = NumbaOps().ops(OpRequest("cpu", "any", torch.bfloat16))
    makers = {"cpu_numba": offered["linear"]["dense"], "oneDNN": onednn}  # type: ignore[index]
    lines = []
    with torch.inference_mode():
        for what, shapes in (("layers", SHAPES * LAYERS), ("head", [HEAD])):
            weights = [(torch.randn(n, k) / k**0.5).bfloat16() for n, k in shapes]
            made = {
                name: [(make(weight, None), weight.shape[1]) for weight in weights]
                for name, make in makers.items()
            }
            for rows in ROWS:
                rounds = [
                    [milliseconds(linears, rows) for linears in made.values()]
                    for _ in range(ROUNDS)
                ]
                best = [f"{min(times):.1f}" for times in zip(*rounds, strict=True)]
                lines.append([what, str(rows), *best])
    print(table(["matrices", "rows", *makers], lines))


if __name__ == "__main__":
    main()
