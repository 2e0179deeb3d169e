"""Attention kernels of attention_triton on this GPU: share of the copy rate, TFLOP/s, best tiles.

    python bench/kernels/attention.py [--sweep] [--only decode|few|prefill] [--kv fp8] [--json FILE]

Llama-3.1-8B's layer (32 query and 8 KV heads of 128, bf16), with --kv fp8 over a cache in FP8.
Times are of CUDA graphs in which every layer reads other pages of a cache much larger than the L2.
Decode is held to the rate of a device to device copy in the same run (the tiles of few rows are
chosen by attention_steps.py), prefill to torch's flash attention on gathered keys and values.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, L keys.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from attention_cases import (
    DECODES,
    FEW,
    GROUP,
    KEPT,
    PREFILLS,
    Case,
    Row,
    flash,
    make_pool,
    prefill_call,
)
from attention_found import Measured, attempts, overall, report
from compiling import compile_all
from timing import copy_rate, graph_time

from inferd_attention_triton.kernels import deal, launch, launch_hopper
from inferd_attention_triton.kernels.chain import ALONE, CHAINED, Chain
from inferd_attention_triton.plan import device_of
from inferd_attention_triton.tuned import (
    DecodeTiles,
    PrefillTiles,
    Ring,
    chained,
    select,
    select_decode,
)

DECODE_TILES = [
    DecodeTiles(tile, warps, stages, 4)
    for tile in (32, 64, 128)
    for warps in (2, 4, 8)
    for stages in (2, 3, 4)
]
WAVES = [(w, least, ahead) for w in (2, 4, 8) for least in (256, 512) for ahead in (0, 128)]
PREFILL_TILES = [
    PrefillTiles(block, tile, warps, stages)
    for block, tile, warps in (
        (128, 32, 8), (128, 64, 8), (128, 128, 8), (128, 64, 4), (64, 64, 4), (64, 128, 4),
        (256, 64, 8), (64, 32, 4),
    )
    for stages in (2, 3, 4)
]  # fmt: skip


def rings(tiles: PrefillTiles) -> list[PrefillTiles]:
    """Other buffers of kernels/hopper.py, where it takes those blocks."""
    if tiles.ring is None:
        return []
    return [replace(tiles, ring=Ring(*sizes)) for sizes in ((128, 3), (128, 5), (64, 8), (64, 6))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--only", choices=["decode", "few", "prefill"])
    parser.add_argument("--kv", choices=KEPT, default="bf16", help="what the cache is in")
    parser.add_argument("--page", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    copy = copy_rate()
    print(f"{torch.cuda.get_device_name()}, copy {copy:.2f} TB/s, torch {torch.__version__}")
    found: list[Measured] = []
    for name, steps in (("decode", DECODES), ("few", FEW)):
        if args.only in (None, name):
            decode = Decode(args.page, copy, steps, KEPT[args.kv])
            found += decode.run()
            found += decode.sweep() if args.sweep and steps is DECODES else []
    if args.only in (None, "prefill"):
        found += Prefill(args.page, KEPT[args.kv]).run(args.sweep)
    if args.json:
        rows = [asdict(row) for row in found]
        args.json.write_text(json.dumps({"copy_tb_s": copy, "rows": rows}, indent=1))


class Decode:
    """Of many rows or of few, each with the tiles that the table gives them."""

    def __init__(
        self, page: int, copy: float, steps: dict[str, list[Row]], kept: torch.dtype
    ) -> None:
        self._page, self._copy = page, copy
        pool = make_pool(page, kept=kept)
        self._cases = {name: Case(pool, rows, page) for name, rows in steps.items()}
        architecture, self._processors = device_of(torch.device("cuda", 0))
        shipped = select(architecture, 128, kept.itemsize)
        self._tiles = {
            name: select_decode(shipped, len(case.rows)) for name, case in self._cases.items()
        }
        self._chains = [ALONE, CHAINED] if chained(architecture) else [ALONE]

    def run(self) -> list[Measured]:
        found = []
        for chain in self._chains:
            rows = [self._measure(name, tiles, chain) for name, tiles in self._tiles.items()]
            report(f"decode {chain}", rows, "TB/s")
            found += rows
        widest = max(self._cases, key=lambda name: len(self._cases[name].rows))
        seconds = graph_time(lambda: self._call(self._cases[widest], self._tiles[widest], ALONE))
        print(f"  dealing {len(self._cases[widest].rows)} rows {seconds * 1e6:.1f} us")
        return found

    def sweep(self) -> list[Measured]:
        """Tiles first, then how the best three are dealt."""
        start = [replace(t, waves=WAVES[0][0], least=WAVES[0][1]) for t in DECODE_TILES]
        found = self._try([*dict.fromkeys(self._tiles.values()), *start])
        dealt = [
            replace(tiles, waves=w, least=least, ahead=ahead)
            for tiles in overall(found)[:3]
            for w, least, ahead in WAVES
        ]
        found += self._try([tiles for tiles in dealt if tiles not in start])
        for tiles in overall(found)[:5]:
            times = {r.case: round(r.microseconds, 1) for r in found if r.tiles == tiles}
            print("best overall", tiles, times)
        return found

    def _try(self, tried: list[DecodeTiles]) -> list[Measured]:
        one, chain = next(iter(self._cases.values())), self._chains[-1]
        kernels = [(deal, "deal_decodes_kernel"), (launch, "decode_kernel")]
        kernels.append((launch, "merge_kernel"))
        compile_all(kernels, (lambda t=t: self._call(one, t, chain)(0) for t in tried))
        found = []
        for name in self._cases:
            rows = list(attempts(tried, lambda t, n=name: self._measure(n, t, chain)))
            found += rows
            report(f"decode {name}", sorted(rows, key=lambda r: r.microseconds)[:3], "TB/s")
        return found

    def _call(self, case: Case, tiles: DecodeTiles, chain: Chain) -> Callable[[int], None]:
        rows, (work, extra) = len(case.rows), case.dealt(tiles, self._processors)
        return lambda layer: launch.decode(
            case.tensors(layer), work, rows, extra, GROUP, tiles, case.params, chain
        )

    def _measure(self, name: str, tiles: DecodeTiles, chain: Chain) -> Measured:
        case = self._cases[name]
        call = self._call(case, tiles, chain)
        seconds = graph_time(lambda: [call(i) for i in range(case.layers)]) / case.layers
        rate = case.bytes / seconds / 1e12
        return Measured(
            name, self._page, tiles, seconds * 1e6, rate, rate / self._copy, case.deviation()
        )


class Prefill:
    def __init__(self, page: int, kept: torch.dtype) -> None:
        self._page = page
        self._pool = make_pool(page, kept=kept)
        self._architecture, _ = device_of(torch.device("cuda", 0))

    def run(self, sweep: bool) -> list[Measured]:
        cases = {name: Case(self._pool, rows, self._page) for name, rows in PREFILLS.items()}
        self._flash = {name: graph_time(flash(case)) for name, case in cases.items()}
        for name, case in cases.items():
            rate = case.flops / self._flash[name] / 1e12
            print(f"flash {name:14} {self._flash[name] * 1e6:8.1f} us {rate:7.1f} TFLOP/s")
        default = select(self._architecture, 128, self._pool[0].dtype.itemsize).prefill
        portable = [replace(tiles, ring=None) for tiles in default]
        tried = [*default, *portable, *([*PREFILL_TILES, *rings(default[0])] if sweep else [])]
        tried = list(dict.fromkeys(tried))
        one = next(iter(cases.values()))
        kernels = [(launch, "prefill_kernel"), (launch_hopper, "hopper_prefill_kernel")]
        compile_all(kernels, [prefill_call(one, tiles) for tiles in tried])
        found = []
        for name, case in cases.items():
            rows = list(attempts(tried, lambda t, n=name, c=case: self._measure(n, c, t)))
            found += rows
            report(f"prefill {name}", sorted(rows, key=lambda r: r.microseconds)[:4], "TFLOP/s")
        return found

    def _measure(self, name: str, case: Case, tiles: PrefillTiles) -> Measured:
        seconds = graph_time(prefill_call(case, tiles))
        share = self._flash[name] / seconds
        rate = case.flops / seconds / 1e12
        return Measured(name, self._page, tiles, seconds * 1e6, rate, share, case.deviation())


if __name__ == "__main__":
    main()
