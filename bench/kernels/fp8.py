"""FP8 and int8 linears (W8A8) on this GPU, beside the library's on the same weights in bfloat16.

    python bench/kernels/fp8.py [--formats fp8_row fp8_block int8_row] [--only M M] [--sweep]

Times are of CUDA graphs over weights beyond the L2, in microseconds of one linear. `ours` is of
inputs as they are, where few tokens are multiplied so, else of inputs that were rounded by the op
before, as the layers of a model do it; `round` is what rounding them alone would take more.
`kernel` is our kernel where the table chooses the library; `fast` and `exact` are torch._scaled_mm,
adding in the tensor cores' precision and in float32, with their errors against float64. A ratio is
the library's time in bfloat16 over ours. --sweep tries other ways, on all shapes together, and
prints the best rows for "scaled" and "scaled_gemv" in tuned/ARCHITECTURE.json.

Shape suffixes: M tokens, N out features, K in features.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import triton
from compiling import compile_all
from scaled_ways import KERNELS, Way, ways
from timing import ROUNDS, graph_time
from torch import Tensor

from inferd.contracts.scaled_formats import BLOCK, E4M3, InputFormat, RoundedInputs, ScaledWeight
from inferd_ops_triton.kernels.chain import ALONE
from inferd_ops_triton.kernels.rounding import round_inputs
from inferd_ops_triton.kernels.scaled import multiply
from inferd_ops_triton.rounded import Rounding
from inferd_ops_triton.scaled import ScaledLinear
from inferd_ops_triton.tables import scaled_route, table

SHAPES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))  # N, K: of an 8B
TOKENS = (1, 8, 16, 32, 64, 128, 1024, 2048, 8192)
BEYOND_L2 = 400_000_000  # bytes of weights in bfloat16
BF16 = torch.bfloat16
BEST = 5  # ways that a sweep prints


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
    rounding = linears[0].rounding
    rounded = round_inputs(x_MK, rounding)
    given = x_MK if linears[0].is_exact(tokens) else rounded
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
    """The ways in which one linear of each shape takes least, and the microseconds of all."""
    tried = dict(ways(tokens, drawn[0][0], bool(table(architecture()).get("pairs"))))
    given = [_inputs(weights[0], tokens) for weights in drawn]
    first = partial(_once, given[0], drawn[0][0])
    compile_all(KERNELS, [partial(first, way) for way in tried.values()])
    times: dict[str, float] = {}
    for name, way in tried.items():
        try:
            times[name] = sum(
                seconds(lambda w, x=x, way=way: way(*x, w), weights, 3)
                for x, weights in zip(given, drawn, strict=True)
            )
        except triton.runtime.errors.OutOfResources:
            continue
    ranked = sorted(times, key=lambda each: times[each])[:BEST]
    return {name: round(times[name] * 1e6, 2) for name in ranked}


def _inputs(weight: ScaledWeight, tokens: int) -> tuple[Tensor, RoundedInputs]:
    """As they are, and rounded."""
    x_MK = torch.randn(tokens, weight.shape[1], device="cuda", dtype=BF16)
    return x_MK, round_inputs(x_MK, Rounding.of(weight.inputs, architecture()))


def _once(given: tuple[Tensor, RoundedInputs], weight: ScaledWeight, way: Way, _: int = 0) -> None:
    way(*given, weight)


if __name__ == "__main__":
    main()
