"""Attention kernels of attention_triton on this GPU: share of the copy rate, TFLOP/s, best tiles.

    python bench/kernels/attention.py [--sweep] [--only decode|prefill] [--page 16] [--json FILE]

Llama-3.1-8B's layer (32 query and 8 KV heads of 128, bf16). Times are of CUDA graphs in which every
layer reads other pages of a cache much larger than the L2. Decode is held to the rate of a device
to device copy in the same run, prefill to torch's flash attention on gathered keys and values.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, L keys.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from attention_cases import DECODES, GROUP, PREFILLS, Case, flash, make_pool
from timing import copy_rate, graph_time
from triton.runtime._async_compile import AsyncCompileMode

from inferd_attention_triton.backend import device_of
from inferd_attention_triton.kernels import deal, launch
from inferd_attention_triton.tuned import DecodeTiles, PrefillTiles, select

DECODE_TILES = [
    DecodeTiles(tile, warps, stages, 4)
    for tile in (32, 64, 128)
    for warps in (2, 4, 8)
    for stages in (2, 3, 4)
]
WAVES = [(waves, least) for waves in (2, 4, 8, 16) for least in (128, 256, 512)]
PREFILL_TILES = [
    PrefillTiles(block, tile, warps, stages)
    for block, tile, warps in (
        (128, 32, 8), (128, 64, 8), (128, 128, 8), (128, 64, 4), (64, 64, 4), (64, 128, 4),
        (256, 64, 8), (64, 32, 4),
    )
    for stages in (2, 3, 4)
]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    case: str
    page: int
    tiles: DecodeTiles | PrefillTiles
    microseconds: float
    rate: float  # TB/s of decode, TFLOP/s of prefill
    share: float  # of the copy rate, of torch's flash attention
    deviation: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--only", choices=["decode", "prefill"])
    parser.add_argument("--page", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    copy = copy_rate()
    print(f"{torch.cuda.get_device_name()}, copy {copy:.2f} TB/s, torch {torch.__version__}")
    found: list[Measured] = []
    if args.only != "prefill":
        found += Decode(args.page, copy).run(args.sweep)
    if args.only != "decode":
        found += Prefill(args.page).run(args.sweep)
    if args.json:
        rows = [asdict(row) for row in found]
        args.json.write_text(json.dumps({"copy_tb_s": copy, "rows": rows}, indent=1))


class Decode:
    def __init__(self, page: int, copy: float) -> None:
        self._page, self._copy = page, copy
        self._pool = make_pool(page)
        self._architecture, self._processors = device_of(torch.device("cuda", 0))

    def run(self, sweep: bool) -> list[Measured]:
        cases = {name: Case(self._pool, rows, self._page) for name, rows in DECODES.items()}
        tiles = select(self._architecture, 128, 2).decode
        found = [self._measure(name, case, tiles) for name, case in cases.items()]
        report("decode", found, "TB/s")
        widest = cases["512x640"]
        print(f"  dealing 512 rows {graph_time(lambda: self._call(widest, tiles)) * 1e6:.1f} us")
        if sweep:
            found += self._sweep(cases, DECODE_TILES)
            best = overall(found)
            waves = [DecodeTiles(best.tile, best.warps, best.stages, w, k) for w, k in WAVES]
            found += self._sweep(cases, waves)
            print("best overall", overall(found))
        return found

    def _sweep(self, cases: dict[str, Case], tried: list[DecodeTiles]) -> list[Measured]:
        one = next(iter(cases.values()))
        calls = [self._call(one, tiles) for tiles in tried]
        compile_all(["decode_kernel", "merge_kernel"], [lambda c=c: c(0) for c in calls])
        found = []
        for name, case in cases.items():
            rows = list(attempts(tried, lambda t, n=name, c=case: self._measure(n, c, t)))
            found += rows
            report(f"decode {name}", sorted(rows, key=lambda r: r.microseconds)[:3], "TB/s")
        return found

    def _call(self, case: Case, tiles: DecodeTiles) -> Callable[[int], None]:
        extra = max(1, self._processors * tiles.waves // case.params.spec.num_kv_heads)
        least = -(-tiles.least // tiles.tile)
        rows = len(case.rows)
        work = deal.deal_decodes(
            case.starts_R1, case.contexts_R, rows,
            extra=extra, tile=tiles.tile, least=least, window=None,
        )  # fmt: skip
        return lambda layer: launch.decode(
            case.tensors(layer), work, rows, extra, tiles, case.params
        )

    def _measure(self, name: str, case: Case, tiles: DecodeTiles) -> Measured:
        call = self._call(case, tiles)
        seconds = graph_time(lambda: [call(i) for i in range(case.layers)]) / case.layers
        rate = case.bytes / seconds / 1e12
        return Measured(
            name, self._page, tiles, seconds * 1e6, rate, rate / self._copy, case.deviation()
        )


class Prefill:
    def __init__(self, page: int) -> None:
        self._page = page
        self._pool = make_pool(page)
        self._architecture, _ = device_of(torch.device("cuda", 0))

    def run(self, sweep: bool) -> list[Measured]:
        cases = {name: Case(self._pool, rows, self._page) for name, rows in PREFILLS.items()}
        self._flash = {name: graph_time(flash(case)) for name, case in cases.items()}
        for name, case in cases.items():
            rate = case.flops / self._flash[name] / 1e12
            print(f"flash {name:14} {self._flash[name] * 1e6:8.1f} us {rate:7.1f} TFLOP/s")
        default = select(self._architecture, 128, 2).prefill
        tried = [*default, *PREFILL_TILES] if sweep else list(default)
        tried = list(dict.fromkeys(tried))
        one = next(iter(cases.values()))
        compile_all(["prefill_kernel"], [self._call(one, tiles) for tiles in tried])
        found = []
        for name, case in cases.items():
            rows = list(attempts(tried, lambda t, n=name, c=case: self._measure(n, c, t)))
            found += rows
            report(f"prefill {name}", sorted(rows, key=lambda r: r.microseconds)[:4], "TFLOP/s")
        return found

    def _call(self, case: Case, tiles: PrefillTiles) -> Callable[[], None]:
        block_q = tiles.block_m // GROUP
        rows, tokens = len(case.rows), len(case.q_THE)
        most = tokens // block_q + rows
        blocks = deal.deal_blocks(case.starts_R1, case.contexts_R, rows, 0, most, block_q)
        return lambda: launch.prefill(case.tensors(-1), blocks, most, tiles, case.params)

    def _measure(self, name: str, case: Case, tiles: PrefillTiles) -> Measured:
        seconds = graph_time(self._call(case, tiles))
        share = self._flash[name] / seconds
        rate = case.flops / seconds / 1e12
        return Measured(name, self._page, tiles, seconds * 1e6, rate, share, case.deviation())


class Compiling:
    """Stands for a kernel: compiles what would be launched."""

    def __init__(self, kernel: object) -> None:
        self._kernel = kernel

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]:
        return lambda *args, **sizes: self._kernel.warmup(*args, grid=grid, **sizes)


def compile_all(kernels: list[str], calls: list[Callable[[], None]]) -> None:
    """On all cores at once; what does not compile is left for the measurement to find."""
    kept = {name: getattr(launch, name) for name in kernels}
    for name, kernel in kept.items():
        setattr(launch, name, Compiling(kernel))
    with ThreadPoolExecutor(16) as pool, AsyncCompileMode(pool, ignore_errors=True):
        for call in calls:
            call()
    for name, kernel in kept.items():
        setattr(launch, name, kernel)


def attempts(tried: list, measure: Callable) -> Iterator[Measured]:
    for tiles in tried:
        try:
            yield measure(tiles)
        except Exception as error:
            print(f"left out: {tiles}: {type(error).__name__}: {str(error)[:80]}")
            torch.cuda.synchronize()


def overall(found: list[Measured]) -> DecodeTiles:
    """The tiles with the best product of shares over all cases."""
    cases = {row.case for row in found}
    products: dict[DecodeTiles, list[float]] = {}
    for row in {(row.case, row.tiles): row for row in found}.values():
        products.setdefault(row.tiles, []).append(row.share)
    whole = {
        t: torch.tensor(s).log().mean().item() for t, s in products.items() if len(s) == len(cases)
    }
    return max(whole, key=whole.get)


def report(title: str, rows: list[Measured], unit: str) -> None:
    print(title)
    for row in rows:
        print(
            f"  {row.case:14} {row.microseconds:8.1f} us {row.rate:7.2f} {unit} "
            f"{row.share:6.1%} off {row.deviation:.4f}  {row.tiles}"
        )


if __name__ == "__main__":
    main()
