"""The experts of ops_triton on this GPU: time of a layer, and its share of what the device can do.

    python bench/kernels/experts.py [--only TOKENS ...] [--shape NAME ...] [--packed FORM ...]
        [--group 128] [--sweep] [--json FILE]

The limit is the larger of two times: reading the weights of the experts that were chosen, at the
rate of a copy, and multiplying, at the rate of a large product. Layers have weights of their own,
so that none is in the L2 when its turn comes. Experts are drawn for each token and layer.
`--packed` times experts that stay packed, too, beside the dense ones; a ratio is the time of those
over theirs: more than 1 is a gain. `--sweep` tries other tiles, of packed ones where there are
some, and prints the best for each number of tokens: rows of "packed_experts" in
tuned/ARCHITECTURE.json.

Shape suffixes: T tokens, C experts chosen for a token, D hidden.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from experts_cases import FORMS, SHAPES, Kind, Shape
from ops_step import normal
from timing import copy_rate, graph_time

from inferd.contracts.ops import Experts
from inferd.contracts.weight_formats import DENSE

TOKENS = (1, 16, 64, 256, 2048)
SQUARE = 8192  # of the product that the rate is taken from


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=int, nargs="+", default=TOKENS, metavar="TOKENS")
    parser.add_argument("--shape", nargs="+", choices=[*SHAPES], default=[*SHAPES])
    parser.add_argument("--packed", nargs="+", choices=FORMS, default=[], metavar="FORM")
    parser.add_argument("--group", type=int, default=128, help="inputs of a group of w*_*")
    parser.add_argument("--sweep", action="store_true", help="try other tiles")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rates = copy_rate() * 1e12, product_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"copy {rates[0] / 1e12:.2f} TB/s, product {rates[1] / 1e12:.0f} TFLOP/s")
    found: dict[str, Any] = {}
    for name in args.shape:
        dense_us: dict[int, float] = {}
        for form in (DENSE, *args.packed):
            kind = Kind.of(SHAPES[name], form, args.group)
            sweep = args.sweep and (form != DENSE or not args.packed)
            for tokens in args.only:
                rows = list(attempts(SHAPES[name], kind, tokens, rates, sweep=sweep))
                found[f"{name} {form} x {tokens}"] = rows
                dense_us.setdefault(tokens, rows[0]["us"])
                report(f"{name:14} {form:9} {tokens:5} tokens", rows, dense_us[tokens])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def report(what: str, rows: list[dict[str, Any]], dense_us: float) -> None:
    """As shipped, and the best of those that were tried."""
    for row in [rows[0], *sorted(rows[1:], key=lambda row: row["us"])[:4]]:
        times = (
            f"{row['us']:8.1f} us {row['share']:6.1%} of limit, ratio {dense_us / row['us']:.2f}"
        )
        print(f"{what} {times} {row['tiles'] or 'as shipped'}", flush=True)


def product_rate() -> float:
    a, b = normal(SQUARE, SQUARE), normal(SQUARE, SQUARE)
    return 2 * SQUARE**3 / graph_time(lambda: a @ b)


def attempts(
    shape: Shape, kind: Kind, tokens: int, rates: tuple[float, float], *, sweep: bool
) -> Iterator[dict[str, Any]]:
    """The first are the tiles as shipped."""
    tries = [tile for tile in kind.swept if sweep and worth(tile.rows, shape, tokens)]
    for tile in (None, *tries):
        layers = kind.make(None if tile is None else [tile])
        try:
            row = measured(shape, layers, tokens, kind.expert_bytes, rates)
        except Exception as error:
            print(f"left out: {tile}: {type(error).__name__}: {str(error)[:80]}")
            torch.cuda.synchronize()
            continue
        yield row | {"tiles": None if tile is None else asdict(tile)}


def worth(rows: int, shape: Shape, tokens: int) -> bool:
    """Tiles that are neither nearly empty nor far too many."""
    average = tokens * shape.chosen / shape.experts
    return rows == 16 or average / 8 <= rows <= 4 * average


def measured(
    shape: Shape,
    layers: list[Experts],
    tokens: int,
    expert_bytes: int,
    rates: tuple[float, float],
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
    read = sum(len(each.unique()) for each in chosen) / len(layers) * expert_bytes
    flops = 2 * tokens * shape.chosen * 3 * shape.hidden * shape.inner
    limit = max(read / rates[0], flops / rates[1])
    return {"us": seconds * 1e6, "limit_us": limit * 1e6, "share": limit / seconds}


if __name__ == "__main__":
    main()
