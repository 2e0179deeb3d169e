"""Whole decode steps of few rows on this GPU, by the tiles of attention: what `few` should say.

    python bench/kernels/attention_steps.py [--rows 1 2 4 8 16 32] [--context 640] [--kv fp8]

A kernel that stands between linears competes with them for memory: keys that are fetched early
come at the cost of weights. So these tiles are chosen by the milliseconds of a step of
Llama-3.1-8B's shape, recorded as a graph, with the linears and ops as shipped. First all tiles
once, then the best in turn.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from attention_cases import GROUP, KEPT, Case, make_pool
from compiling import compile_all
from ops_step import SHAPES, Shape, Step
from ops_steps import architecture, linears_of
from timing import graph_time
from torch import Tensor

from inferd.contracts.ops import OpRequest
from inferd_attention_triton.kernels import launch
from inferd_attention_triton.kernels.chain import ALONE, CHAINED, Chain
from inferd_attention_triton.plan import device_of
from inferd_attention_triton.tuned import DecodeTiles, chained, select, select_decode
from inferd_ops_triton.provider import TritonOps

PAGE = 16
BEST, TURNS = 6, 2
TILES = [
    DecodeTiles(tile, warps, stages, waves, least, ahead)
    for tile, warps, stages in (
        (32, 2, 4), (32, 4, 4), (32, 4, 6), (64, 2, 4), (64, 4, 3), (64, 4, 4), (128, 4, 2),
        (128, 4, 3),
    )
    for waves, least in ((1, tile), (2, tile), (2, 256), (4, tile))
    for ahead in (0, 128)
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--context", type=int, default=640)
    parser.add_argument("--kv", choices=KEPT, default="bf16", help="what the cache is in")
    args = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, contexts of {args.context}", flush=True)
    shape, pool = SHAPES["8b"], make_pool(PAGE, kept=KEPT[args.kv])
    ops = dict(TritonOps().ops(OpRequest("cuda", architecture(), torch.bfloat16)))
    chain = CHAINED if chained(architecture()) else ALONE
    linears = linears_of(shape, chain, {})
    for rows in args.rows:
        case = Case(pool, [(1, args.context)] * rows, PAGE)
        report(Attending(shape, ops, linears, rows, case, chain))


class Attending(Step):
    """With attention over other pages in each layer, until these exceed the L2."""

    def __init__(
        self, shape: Shape, ops: dict, linears: dict, rows: int, case: Case, chain: Chain
    ) -> None:
        super().__init__(shape, ops, linears, rows)
        self._case, self._chain = case, chain
        name, self._processors = device_of(torch.device("cuda", 0))
        self.paired = case.params.spec.dtype.itemsize == 1
        self.use(select_decode(select(name, 128, case.params.spec.dtype.itemsize), rows))

    def use(self, tiles: DecodeTiles) -> None:
        self.tiles = tiles
        self._work, self._extra = self._case.dealt(tiles, self._processors)

    def attend(self, layer: int) -> Tensor:
        case = self._case
        tensors = case.tensors(layer % case.layers)
        launch.decode(
            tensors, self._work, len(case.rows), self._extra, GROUP, self.tiles, case.params,
            self._chain,
        )  # fmt: skip
        return tensors.out_THE.flatten(1)


def report(step: Attending) -> None:
    rows, shipped = len(step.attend(0)), step.tiles
    tiles = (replace(each, paired=step.paired) for each in TILES)
    tried = list(dict.fromkeys([shipped, *tiles]))
    kernels = [(launch, "decode_kernel"), (launch, "merge_kernel")]
    compile_all(kernels, [lambda t=t: (step.use(t), step.attend(0)) for t in tried])
    found = {tiles: milliseconds(step, tiles) for tiles in tried}
    for tiles in dict.fromkeys([shipped, *sorted(found, key=found.get)[:BEST]]):
        again = [f"{milliseconds(step, tiles):.3f}" for _ in range(TURNS)]
        word = "shipped" if tiles == shipped else ""
        print(f"{rows:3} rows {found[tiles]:.3f} {' '.join(again)} ms {tiles} {word}", flush=True)


def milliseconds(step: Attending, tiles: DecodeTiles) -> float:
    step.use(tiles)
    return graph_time(step) * 1e3


if __name__ == "__main__":
    main()
