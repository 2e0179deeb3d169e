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

Shape suffixes: T tokens, M experts, C of them chosen for a token, D hidden, I intermediate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ops_step import normal
from timing import copy_rate, graph_time

from inferd.contracts.ops import Experts
from inferd.contracts.scaled_formats import BLOCK, E4M3, InputFormat, ScaledWeight
from inferd.contracts.weight_formats import DENSE, GroupedWeight, MinimumWeight
from inferd_ops_triton.kernels.experts import TILES, ExpertTiles, make_experts
from inferd_ops_triton.kernels.launch_experts import Stacks, make_packed_experts
from inferd_ops_triton.packing import Packable, PackedWeight
from inferd_ops_triton.tables import PackedTiles, packed_tiles, table

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

PACKED_SWEPT = [
    PackedTiles(rows, block_n, warps, stages)
    for rows in (16, 32, 64, 128)
    for block_n, warps in ((32, 2), (64, 4), (128, 4), (64, 8), (128, 8))
    for stages in (2, 3, 4)
]
FORMS = ("w4_g", "w8_g", "w4_m", "w8_m", "fp8_row", "fp8_block")


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


@dataclass(frozen=True)
class Kind:
    """Experts of some layers, to be made with tiles."""

    make: Callable[[Sequence[Any] | None], list[Experts]]  # None: those of the table
    expert_bytes: int
    swept: Sequence[Any]

    @classmethod
    def of(cls, shape: Shape, form: str, group: int) -> Kind:
        if form == DENSE:
            dense = [drawn(shape) for _ in range(shape.layers)]

            def make_dense(tiles: Sequence[ExpertTiles] | None) -> list[Experts]:
                return [make_experts(*each, "silu", tiles=tiles or TILES) for each in dense]

            return cls(make_dense, shape.expert_bytes, SWEPT)
        layers = [packed(shape, form, group) for _ in range(shape.layers)]
        major, minor = torch.cuda.get_device_capability()
        architecture = f"sm_{major}{minor}"
        shipped, pairs = packed_tiles(architecture), bool(table(architecture).get("pairs"))

        def make_packed(tiles: Sequence[PackedTiles] | None) -> list[Experts]:
            rest = "silu", None, None, tiles or shipped
            return [make_packed_experts(each, *rest, pairs=pairs) for each in layers]

        both = layers[0].gate_up.num_bytes + layers[0].down.num_bytes
        return cls(make_packed, both // shape.experts, PACKED_SWEPT)


def drawn(shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """gate_up_MND and down_MDI."""
    gate_up_MND = normal(shape.experts, 2 * shape.inner, shape.hidden, scale=shape.hidden**-0.5)
    return gate_up_MND, normal(shape.experts, shape.hidden, shape.inner, scale=shape.inner**-0.5)


def packed(shape: Shape, form: str, group: int) -> Stacks:
    """Drawn on the device, an expert at a time."""
    sizes = (2 * shape.inner, shape.hidden), (shape.hidden, shape.inner)
    return Stacks(*(
        PackedWeight.stacked(
            (coded(form, *size, group) for _ in range(shape.experts)), shape.experts, torch.bfloat16
        )
        for size in sizes
    ))  # fmt: skip


def coded(form: str, rows: int, inner: int, group: int) -> Packable:
    if form.startswith("fp8"):
        block = BLOCK if form == "fp8_block" else None
        places = (-(-rows // BLOCK), -(-inner // BLOCK)) if block else (rows, 1)
        scales_RG = torch.rand(places, device="cuda") * 1e-3
        values_NK = (normal(rows, inner) * 64).to(E4M3)
        return ScaledWeight(values_NK, scales_RG, InputFormat(E4M3, block), block or 1)
    bits = int(form[1])
    packed_NB = torch.randint(256, (rows, inner * bits // 8), dtype=torch.uint8, device="cuda")
    scales_NG = (torch.rand(rows, inner // group, device="cuda") * 0.01).half()
    if form.endswith("_m"):
        return MinimumWeight(bits, packed_NB, scales_NG, -scales_NG * 8)
    return GroupedWeight(bits, packed_NB, scales_NG)


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
