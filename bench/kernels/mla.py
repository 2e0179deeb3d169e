"""Latent attention of attention_triton on this GPU: share of the copy rate in decoding, TFLOP/s.

    python bench/kernels/mla.py [--heads 16] [--sweep] [--json FILE]

Rows of 576 elements in bfloat16 of which 512 are the value, read by all query heads: 16 as in
DeepSeek-V2-Lite, 128 as in V3. Times are of CUDA graphs in which every layer reads other pages of a
cache much larger than the L2. Prefill's operations are those over the latents themselves, which is
what the kernel multiplies; `--sweep` tries other tiles and prints the best.

Shape suffixes: T tokens, H query heads, Z elements of a row, B blocks, S slots per block.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from timing import copy_rate, graph_time
from torch import Tensor

from inferd.contracts.attention import AttentionParams, KVSpec
from inferd_attention_triton.backend import TritonAttention
from inferd_attention_triton.kernels import deal, launch
from inferd_attention_triton.plan import device_of
from inferd_attention_triton.tensors import Tensors
from inferd_attention_triton.tuned import DecodeTiles, PrefillTiles, select_latent, share_of

DEVICE, DTYPE = torch.device("cuda"), torch.bfloat16
LATENT, ROW, PAGE = 512, 576, 16
POOL_BYTES = 4 << 30
COLD_BYTES = 1 << 30  # of all layers together, at least
DECODES = {"64x2048": [2048] * 64, "1x8192": [8192], "8x2048": [2048] * 8, "256x1024": [1024] * 256}
PREFILLS = {"1x2048": [(2048, 2048)], "512@8k": [(512, 8192)]}
DECODE_TILES = [
    DecodeTiles(tile, warps, stages, waves)
    for tile, warps in ((16, 4), (32, 4), (32, 8), (64, 4), (64, 8))
    for stages in (2, 3, 4)
    for waves in (1, 2, 4)
]
PREFILL_TILES = [
    PrefillTiles(block, tile, warps, stages)
    for block, tile, warps in ((64, 16, 8), (64, 32, 8), (64, 64, 8), (32, 32, 4), (128, 32, 8))
    for stages in (2, 3)
]

Figures = dict[str, Any]


class Case:
    """Rows of (queries, context); layer i has pages of its own, as far as the pool reaches."""

    def __init__(self, pool_BSGZ: Tensor, rows: list[tuple[int, int]], heads: int) -> None:
        self.rows, self._pool = rows, pool_BSGZ
        counts = [queries for queries, _ in rows]
        spec = KVSpec(1, ROW, DTYPE, "latent", value_dim=LATENT)
        self.params = AttentionParams(heads, 192**-0.5, spec, 0)
        self.starts_R1 = _ints([0, *itertools.accumulate(counts)])
        self.contexts_R = _ints([context for _, context in rows])
        self._q_THZ = torch.randn(sum(counts), heads, ROW, device=DEVICE).to(DTYPE)
        self._out_THK = self._q_THZ.new_zeros(sum(counts), heads, LATENT)
        self.bytes = sum(context for _, context in rows) * ROW * DTYPE.itemsize
        pairs = sum(q * c - q * (q - 1) // 2 for q, c in rows)
        self.flops = 2 * heads * (ROW + LATENT) * pairs
        width = max(-(-context // PAGE) for _, context in rows)
        fitting = (len(pool_BSGZ) - 1) // (width * len(rows))
        self.layers = max(1, min(fitting, -(-COLD_BYTES // self.bytes)))
        order = torch.randperm(len(pool_BSGZ) - 1, device=DEVICE).int() + 1
        used = order[: self.layers * width * len(rows)]
        self._tables = used.view(self.layers, len(rows), width)

    def tensors(self, layer: int) -> Tensors:
        pool = self._pool
        return Tensors(self._q_THZ, pool, pool[..., :LATENT], self._out_THK, self._tables[layer])

    def deviation(self) -> float:
        """Of the last query, from what the last layer wrote."""
        pages, context = self._tables[-1][-1].long(), self.rows[-1][1]
        row_LZ = self._pool[pages].flatten(0, 2)[:context].double()
        scores_HL = self._q_THZ[-1].double() @ row_LZ.T * self.params.scale
        expected_HK = scores_HL.softmax(-1) @ row_LZ[:, :LATENT]
        found_HK = self._out_THK[-1].double()
        return float((found_HK - expected_HK).abs().max() / expected_HK.abs().max())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    copy = copy_rate() * 1e12
    print(f"{torch.cuda.get_device_name()}, copy {copy / 1e12:.2f} TB/s, torch {torch.__version__}")
    spec = KVSpec(1, ROW, DTYPE, "latent", value_dim=LATENT)
    blocks = POOL_BYTES // (PAGE * ROW * DTYPE.itemsize)
    pool_BSGZ, _ = TritonAttention().allocate(spec, blocks, PAGE, DEVICE)
    pool_BSGZ.normal_()
    found = []
    for heads in args.heads:
        found += Decode(pool_BSGZ, heads, copy).run(args.sweep)
        found += Prefill(pool_BSGZ, heads).run(args.sweep)
    if args.json:
        args.json.write_text(json.dumps({"copy": copy, "rows": found}, indent=1))


class Decode:
    def __init__(self, pool_BSGZ: Tensor, heads: int, copy: float) -> None:
        rows = {name: [(1, context) for context in each] for name, each in DECODES.items()}
        self._cases = {name: Case(pool_BSGZ, each, heads) for name, each in rows.items()}
        architecture, self._processors = device_of(torch.device("cuda", 0))
        self._heads, self._copy = heads, copy
        self._tiles = select_latent(architecture, heads, DTYPE.itemsize)

    def run(self, sweep: bool) -> list[Figures]:
        found = [self._measure(name, self._tiles.decode) for name in self._cases]
        _report(f"decode, {self._heads} heads", found)
        for name in self._cases if sweep else ():
            tried = list(_attempts(DECODE_TILES, lambda t, n=name: self._measure(n, t)))
            _report(f"best of {name}", sorted(tried, key=lambda row: row["us"])[:4])
            found += tried
        return found

    def _measure(self, name: str, tiles: DecodeTiles) -> Figures:
        case = self._cases[name]
        share = share_of(self._heads, self._tiles.heads)
        extra = max(1, self._processors * tiles.waves // launch.programs(case.params, share))
        rows = len(case.rows)
        work = deal.deal_decodes(
            case.starts_R1, case.contexts_R, rows,
            extra=extra, tile=tiles.tile, least=-(-tiles.least // tiles.tile), window=None,
        )  # fmt: skip

        def run() -> None:
            for layer in range(case.layers):
                launch.decode(case.tensors(layer), work, rows, extra, share, tiles, case.params)

        seconds = graph_time(run) / case.layers
        rate = case.bytes / seconds
        return _row(name, self._heads, tiles, seconds, case) | {
            "tb_s": rate / 1e12,
            "share": rate / self._copy,
        }


class Prefill:
    def __init__(self, pool_BSGZ: Tensor, heads: int) -> None:
        self._cases = {name: Case(pool_BSGZ, rows, heads) for name, rows in PREFILLS.items()}
        architecture, _ = device_of(torch.device("cuda", 0))
        self._heads = heads
        self._tiles = select_latent(architecture, heads, DTYPE.itemsize)

    def run(self, sweep: bool) -> list[Figures]:
        found = [self._measure(name, self._tiles.prefill[0]) for name in self._cases]
        _report(f"prefill, {self._heads} heads", found)
        for name in self._cases if sweep else ():
            tried = list(_attempts(PREFILL_TILES, lambda t, n=name: self._measure(n, t)))
            _report(f"best of {name}", sorted(tried, key=lambda row: row["us"])[:3])
            found += tried
        return found

    def _measure(self, name: str, tiles: PrefillTiles) -> Figures:
        case = self._cases[name]
        share = share_of(self._heads, min(self._tiles.heads, tiles.block_m))
        block_q, rows = tiles.block_m // share, len(case.rows)
        tokens = sum(queries for queries, _ in case.rows)
        most = tokens // block_q + rows
        blocks = deal.deal_blocks(case.starts_R1, case.contexts_R, rows, 0, most, block_q)
        tensors = case.tensors(case.layers - 1)
        seconds = graph_time(
            lambda: launch.prefill(tensors, blocks, most, share, tiles, case.params)
        )
        row = _row(name, self._heads, tiles, seconds, case)
        return row | {"tflop_s": case.flops / seconds / 1e12}


def _row(name: str, heads: int, tiles: Any, seconds: float, case: Case) -> Figures:
    row = {"case": name, "heads": heads, "us": seconds * 1e6, "off": case.deviation()}
    return row | {"tiles": asdict(tiles)}


def _attempts(tried: list[Any], measure: Callable[[Any], Figures]) -> Any:
    for tiles in tried:
        try:
            yield measure(tiles)
        except Exception as error:
            print(f"left out: {tiles}: {type(error).__name__}: {str(error)[:80]}")
            torch.cuda.synchronize()


def _report(title: str, rows: list[Figures]) -> None:
    print(title)
    for row in rows:
        rate = f"{row['tb_s']:.2f} TB/s {row['share']:6.1%}" if "tb_s" in row else ""
        rate = rate or f"{row['tflop_s']:.0f} TFLOP/s"
        print(f"  {row['case']:10} {row['us']:9.1f} us {rate}  off {row['off']:.4f} {row['tiles']}")


def _ints(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int32, device=DEVICE)


if __name__ == "__main__":
    main()
