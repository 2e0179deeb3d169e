"""The experts of ops_triton on this GPU: time of a layer, and its share of what the device can do.

    python bench/kernels/experts.py [--only TOKENS ...] [--shape NAME ...] [--sweep] [--json FILE]

The limit is the larger of two times: reading the weights of the experts that were chosen, at the
rate of a copy, and multiplying, at the rate of a large product. Layers have weights of their own,
so that none is in the L2 when its turn comes. Experts are drawn for each token and layer. `--sweep`
tries other tiles and prints the best for each number of tokens.

Shape suffixes: T tokens, M experts, C of them chosen for a token, D hidden, I intermediate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ops_step import normal
from timing import copy_rate, graph_time

from inferd.contracts.ops import Experts
from inferd_ops_triton.kernels.experts import TILES, ExpertTiles, make_experts

TOKENS = (1, 16, 64, 256, 2048)
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
    "v2-lite": Shape(64, 6, 2048, 1408, layers=4),
}
SWEPT = [
    ExpertTiles(rows, block_n, block_k, warps, stages)
    for rows in (16, 32, 64, 128)
    for block_n, block_k, warps in (
        (32, 128, 4), (64, 64, 4), (64, 128, 4), (32, 256, 4), (128, 64, 8), (64, 64, 8),
    )
    for stages in (2, 3, 4)
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="TOKENS")
    parser.add_argument("--shape", nargs="+", choices=[*SHAPES], default=[*SHAPES])
    parser.add_argument("--sweep", action="store_true", help="try other tiles")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    copy, product = copy_rate() * 1e12, product_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"copy {copy / 1e12:.2f} TB/s, product {product / 1e12:.0f} TFLOP/s")
    found = {}
    for name in args.shape:
        weights = [drawn(SHAPES[name]) for _ in range(SHAPES[name].layers)]
        for tokens in args.only:
            tries = [TILES, *([tile] for tile in SWEPT if args.sweep)]
            rows = list(attempts(SHAPES[name], weights, tokens, tries, copy, product))
            found[f"{name} x {tokens}"] = rows
            for row in [rows[0], *sorted(rows[1:], key=lambda row: row["us"])[:4]]:
                times = f"{row['us']:8.1f} us {row['share']:6.1%} of limit"
                print(f"{name:14} {tokens:5} tokens {times} {row['tiles'] or 'as shipped'}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def product_rate() -> float:
    a, b = normal(SQUARE, SQUARE), normal(SQUARE, SQUARE)
    return 2 * SQUARE**3 / graph_time(lambda: a @ b)


def drawn(shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """gate_up_MND and down_MDI."""
    gate_up_MND = normal(shape.experts, 2 * shape.inner, shape.hidden, scale=shape.hidden**-0.5)
    return gate_up_MND, normal(shape.experts, shape.hidden, shape.inner, scale=shape.inner**-0.5)


def attempts(
    shape: Shape,
    weights: list[tuple[torch.Tensor, torch.Tensor]],
    tokens: int,
    tries: list[Sequence[ExpertTiles]],
    copy: float,
    product: float,
) -> Iterator[dict[str, Any]]:
    """The first are the tiles as shipped."""
    for tiles in tries:
        layers = [make_experts(*each, "silu", tiles=tiles) for each in weights]
        try:
            row = measured(shape, layers, tokens, copy, product)
        except Exception as error:
            print(f"left out: {tiles}: {type(error).__name__}: {str(error)[:80]}")
            torch.cuda.synchronize()
            continue
        yield row | {"tiles": None if tiles is TILES else asdict(tiles[0])}


def measured(
    shape: Shape,
    layers: list[Experts],
    tokens: int,
    copy: float,
    product: float,
) -> dict[str, Any]:
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
