"""FP8 and int8 linears (W8A8) on this GPU, beside the library's on the same weights in bfloat16.

    python bench/kernels/fp8.py [--formats fp8_row fp8_block int8_row] [--only M M] [--sweep]

Times are of CUDA graphs over weights beyond the L2, in microseconds of one linear. `ours` is of
inputs that were rounded by the op before, as the layers of a model do it (a single token of a
weight with a scale per row is not rounded); `round` is what rounding them alone would take more.
`kernel` is our kernel where the table chooses the library; `fast` and `exact` are torch._scaled_mm,
adding in the tensor cores' precision and in float32, with their errors against float64. A ratio is
the library's time in bfloat16 over ours. --sweep tries other tiles, on all shapes together, and
prints the best rows for "scaled" and "scaled_gemv" in tuned/ARCHITECTURE.json.

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

from inferd.contracts.scaled_formats import BLOCK, E4M3, InputFormat, RoundedInputs, ScaledWeight
from inferd_ops_triton.kernels.chain import ALONE
from inferd_ops_triton.kernels.gemv import gemv
from inferd_ops_triton.kernels.rounding import round_inputs
from inferd_ops_triton.kernels.scaled import multiply
from inferd_ops_triton.rounded import Rounding
from inferd_ops_triton.scaled import ScaledLinear
from inferd_ops_triton.tables import Route, ScaledRoute, scaled_route

SHAPES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))  # N, K: of an 8B
TOKENS = (1, 8, 16, 32, 64, 128, 1024, 2048, 8192)
BEYOND_L2 = 400_000_000  # bytes of weights in bfloat16
BF16 = torch.bfloat16
FEW = {"block_n": (64, 128), "block_k": (128, 256), "warps": (4,), "stages": (3, 4),
       "programs": (132, 264, 528)}  # fmt: skip
MANY = {"block_m": (128, 256), "block_n": (128,), "block_k": (128,), "warps": (4, 8),
        "stages": (3, 4)}  # fmt: skip
GEMV = {"block_n": (2, 4, 8), "block_k": (2048, 4096), "warps": (4, 8), "at once": (1, 16)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--formats", nargs="+", default=["fp8_row", "fp8_block", "int8_row"])
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="M")
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    found: dict[str, Any] = {}
    for form in args.formats:
        drawn = [draw(form, size, inner) for size, inner in SHAPES]
        for tokens in args.only:
            for weights in drawn:
                size, inner = weights[0].shape
                found[f"{form} {size}x{inner} {tokens}"] = row = measure(weights, tokens)
                print(f"{form} {size:6}x{inner:<6} {tokens:5} tokens {json.dumps(row)}", flush=True)
            if args.sweep:
                found[f"{form} {tokens} tiles"] = row = sweep(drawn, tokens)
                print(f"{form} {tokens:5} tokens {json.dumps(row)}", flush=True)
        del drawn
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def draw(form: str, size: int, inner: int) -> list[ScaledWeight]:
    """So many that they do not stay in the L2."""
    dtype = torch.int8 if form == "int8_row" else E4M3
    blocks = form == "fp8_block"
    places = (-(-size // BLOCK), inner // BLOCK) if blocks else (size, 1)
    weights = []
    for _ in range(-(-BEYOND_L2 // (2 * size * inner))):
        values_NK = (torch.randn(size, inner, device="cuda") * 32).clamp(-127, 127).to(dtype)
        scales = torch.rand(places, device="cuda") * 1e-3
        inputs = InputFormat(dtype, BLOCK if blocks else None)
        weights.append(ScaledWeight(values_NK, scales, inputs, BLOCK if blocks else 1))
    return weights


def measure(weights: list[ScaledWeight], tokens: int) -> dict[str, float]:
    x_MK = torch.randn(tokens, weights[0].shape[1], device="cuda", dtype=BF16)
    library = bf16_seconds(x_MK, weights)
    linears = [ScaledLinear(each, None, BF16, architecture(), ALONE) for each in weights]
    rounding, grouped = linears[0].rounding, weights[0].inputs.group is not None
    rounded = round_inputs(x_MK, rounding)
    given = x_MK if tokens == 1 and not grouped else rounded
    ours = seconds(lambda linear: linear(given), linears)
    found = {"bf16": library, "ours": ours, "ratio": library / ours}
    found["round"] = graph_time(lambda: [round_inputs(x_MK, rounding) for _ in range(20)]) / 20
    if tokens > 1:
        route = scaled_route(architecture(), tokens)
        found["kernel"] = seconds(lambda w: multiply(rounded, w, None, route, BF16), weights)
    if weights[0].format == "fp8_row":
        found |= torch_times(rounded, weights)
    return {name: value if "error" in name or name == "ratio" else round(value * 1e6, 2)
            for name, value in found.items()}  # fmt: skip


def bf16_seconds(x_MK: Tensor, weights: list[ScaledWeight]) -> float:
    dense = [weight.dequantize(BF16) for weight in weights]
    return seconds(lambda w_NK: F.linear(x_MK, w_NK), dense)


def torch_times(x: RoundedInputs, weights: list[ScaledWeight]) -> dict[str, float]:
    """Without rows where this torch refuses."""
    found = {}
    expected = x.dequantize(torch.float64)[:16] @ weights[0].dequantize(torch.float64).T
    for name, fast in (("fast", True), ("exact", False)):

        def product(weight: ScaledWeight, fast: bool = fast) -> Tensor:
            return torch._scaled_mm(
                x.codes_TK, weight.values_NK.t(), scale_a=x.scales_TG,
                scale_b=weight.scales_RG.view(1, -1), out_dtype=BF16, use_fast_accum=fast,
            )  # fmt: skip

        try:
            gap = product(weights[0])[:16].double() - expected
            found[f"{name}_error"] = float(gap.norm() / expected.norm())
            found[name] = seconds(product, weights)
        except RuntimeError as error:
            print(f"torch._scaled_mm: {str(error).splitlines()[0]}")
    return found


def architecture() -> str:
    return "sm_{}{}".format(*torch.cuda.get_device_capability())


def seconds(each: Callable[[Any], Tensor], weights: list[Any], rounds: int = ROUNDS) -> float:
    return graph_time(lambda: [each(weight) for weight in weights], rounds) / len(weights)


def sweep(drawn: list[list[ScaledWeight]], tokens: int) -> dict[str, float]:
    """The tiles with which one linear of each shape takes least, and how long."""
    times: dict[ScaledRoute | Route, float] = {}
    for route in candidates(tokens, drawn[0][0].inputs.group is not None):
        try:
            times[route] = sum(with_tiles(weights, tokens, route) for weights in drawn)
        except triton.runtime.errors.OutOfResources:
            continue
    ranked = sorted(times, key=lambda each: times[each])[:3]
    return {str([*astuple(route)]): round(times[route] * 1e6, 2) for route in ranked}


def candidates(tokens: int, grouped: bool) -> Iterator[ScaledRoute | Route]:
    if tokens == 1 and not grouped:
        for block_n, block_k, warps, at_once in itertools.product(*GEMV.values()):
            yield Route("gemv", 1, block_n, block_k, warps, 1, at_once)
        return
    if tokens > 128:
        for block_m, block_n, block_k, warps, stages in itertools.product(*MANY.values()):
            yield ScaledRoute(tokens, block_m, block_n, block_k, warps, stages, 1)
        return
    padded = max(16, triton.next_power_of_2(tokens))
    for block_n, block_k, *rest in itertools.product(*FEW.values()):
        if block_k == BLOCK or not grouped:
            yield ScaledRoute(tokens, padded, block_n, block_k, *rest)


def with_tiles(weights: list[ScaledWeight], tokens: int, route: ScaledRoute | Route) -> float:
    x_MK = torch.randn(tokens, weights[0].shape[1], device="cuda", dtype=BF16)
    if isinstance(route, Route):
        return seconds(
            lambda w: gemv(x_MK, w.values_NK, None, route, ALONE, w.scales_RG), weights, 3
        )
    x = round_inputs(x_MK, Rounding.of(weights[0].inputs, architecture()))
    return seconds(lambda w: multiply(x, w, None, route, BF16), weights, 3)


if __name__ == "__main__":
    main()
