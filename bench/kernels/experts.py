"""The experts of ops_triton on this GPU: time of a layer, and its share of what the device can do.

    python bench/kernels/experts.py [--only TOKENS ...] [--json FILE]

The limit is the larger of two times: reading the weights of the experts that were chosen, at the
rate of a copy, and multiplying, at the rate of a large product. Layers have weights of their own,
so that none is in the L2 when its turn comes. Experts are drawn for each token and layer.

Shape suffixes: T tokens, M experts, C of them chosen for a token, D hidden, I intermediate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from ops_step import normal
from timing import copy_rate, graph_time

from inferd_ops_triton.kernels.experts import make_experts

TOKENS = (1, 16, 256, 2048)
SQUARE = 8192  # of the product that the rate is taken from


@dataclass(frozen=True)
class Shape:
    experts: int
    chosen: int
    hidden: int
    inner: int
    layers: int  # with weights of their own

    @property
    def expert_bytes(self) -> int:
        return 2 * 3 * self.hidden * self.inner


SHAPES = {
    "mixtral-8x7b": Shape(8, 2, 4096, 14336, layers=2),
    "qwen3-30b-a3b": Shape(128, 8, 2048, 768, layers=4),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="TOKENS")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    copy, product = copy_rate() * 1e12, product_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"copy {copy / 1e12:.2f} TB/s, product {product / 1e12:.0f} TFLOP/s")
    found = {}
    for name, shape in SHAPES.items():
        layers = [layer(shape) for _ in range(shape.layers)]
        for tokens in args.only:
            found[f"{name} x {tokens}"] = row = measured(shape, layers, tokens, copy, product)
            print(f"{name:14} {tokens:5} tokens {row['us']:8.1f} us {row['share']:6.1%} of limit")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def product_rate() -> float:
    a, b = normal(SQUARE, SQUARE), normal(SQUARE, SQUARE)
    return 2 * SQUARE**3 / graph_time(lambda: a @ b)


def layer(shape: Shape) -> Callable[..., torch.Tensor]:
    gate_up_MND = normal(shape.experts, 2 * shape.inner, shape.hidden, scale=shape.hidden**-0.5)
    down_MDI = normal(shape.experts, shape.hidden, shape.inner, scale=shape.inner**-0.5)
    return make_experts(gate_up_MND, down_MDI, "silu")


def measured(
    shape: Shape,
    layers: list[Callable[..., torch.Tensor]],
    tokens: int,
    copy: float,
    product: float,
) -> dict[str, float]:
    x_TD = normal(tokens, shape.hidden)
    chosen = [
        torch.rand(tokens, shape.experts, device="cuda").argsort(1)[:, : shape.chosen]
        for _ in layers
    ]
    weights_TC = torch.full((tokens, shape.chosen), 1 / shape.chosen, device="cuda")

    def run() -> None:
        for apply, chosen_TC in zip(layers, chosen, strict=True):
            apply(x_TD, chosen_TC, weights_TC)

    seconds = graph_time(run) / len(layers)
    read = sum(len(each.unique()) for each in chosen) / len(layers) * shape.expert_bytes
    flops = 2 * tokens * shape.chosen * 3 * shape.hidden * shape.inner
    limit = max(read / copy, flops / product)
    return {"us": seconds * 1e6, "limit_us": limit * 1e6, "share": limit / seconds}


if __name__ == "__main__":
    main()
