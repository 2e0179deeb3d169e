"""Steps for the attention benchmark: rows over scattered pages of one large cache.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, L keys, R rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

from inferd.contracts.attention import AttentionParams, KVSpec
from inferd_attention_triton.backend import TritonAttention
from inferd_attention_triton.kernels import deal, launch
from inferd_attention_triton.tensors import Tensors
from inferd_attention_triton.tuned import DecodeTiles, PrefillTiles

Row = tuple[int, int]  # (queries, context)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
HEADS, KV_HEADS, SIZE, DTYPE = 32, 8, 128, torch.bfloat16
GROUP = HEADS // KV_HEADS
POOL_BYTES = 6 << 30
COLD_BYTES = 500 << 20  # what the layers of a graph read together, much more than the L2 holds
DECODES: dict[str, list[Row]] = {
    "64x2048": [(1, 2048)] * 64,
    "128x576": [(1, 576)] * 128,
    "256x640": [(1, 640)] * 256,
    "512x640": [(1, 640)] * 512,
    "1x32k+63x512": [(1, 32768)] + [(1, 512)] * 63,
}
FEW: dict[str, list[Row]] = {
    "1x576": [(1, 576)],
    "3x1024": [(1, 1024)] * 3,
    "16x1024": [(1, 1024)] * 16,
    "32x592": [(1, 592)] * 32,
    "1x8192": [(1, 8192)],
    "4x8192": [(1, 8192)] * 4,
}
PREFILLS: dict[str, list[Row]] = {
    "1x2048": [(2048, 2048)],
    "1x8192": [(8192, 8192)],
    "4x512@8k": [(512, 8192)] * 4,
    "16x512": [(512, 512)] * 16,
    "8192@32k": [(8192, 32768)],
}


KEPT = {"bf16": DTYPE, "fp8": torch.float8_e4m3fn}  # in the cache


def make_pool(
    page: int, size: int = POOL_BYTES, kept: torch.dtype = DTYPE
) -> tuple[Tensor, Tensor]:
    """K and V caches full of noise."""
    blocks = size // (2 * KV_HEADS * page * SIZE * kept.itemsize)
    caches = TritonAttention().allocate(KVSpec(KV_HEADS, SIZE, kept), blocks, page, DEVICE)
    for cache in caches:
        if kept == DTYPE:
            cache.normal_()
            continue
        for block in cache.split(4096):  # FP8 is not drawn
            block.copy_(torch.randn(block.shape, device=DEVICE))
    return caches


class Case:
    """One step; layer i has pages of its own in the pool, as far as it reaches."""

    def __init__(self, pool: tuple[Tensor, Tensor], rows: list[Row], page: int) -> None:
        self.rows, self._pool, self._page = rows, pool, page
        counts = [queries for queries, _ in rows]
        kept = pool[0].dtype
        self.params = AttentionParams(HEADS, SIZE**-0.5, KVSpec(KV_HEADS, SIZE, kept), 0)
        self.starts_R1 = _ints([0, *itertools.accumulate(counts)])
        self.contexts_R = _ints([context for _, context in rows])
        self.q_THE = torch.randn(sum(counts), HEADS, SIZE, device=DEVICE).to(DTYPE)
        self._out_THE = torch.zeros_like(self.q_THE)
        self.bytes = sum(context for _, context in rows) * 2 * KV_HEADS * SIZE * kept.itemsize
        self.flops = 4 * HEADS * SIZE * sum(q * c - q * (q - 1) // 2 for q, c in rows)
        widths = [-(-context // page) for _, context in rows]
        fitting = (len(pool[0]) - 1) // sum(widths)
        self.layers = min(fitting, max(2, -(-COLD_BYTES // self.bytes)))
        order = torch.randperm(len(pool[0]) - 1, device=DEVICE).int() + 1
        self._tables = [
            _tables(order[i * sum(widths) : (i + 1) * sum(widths)], widths)
            for i in range(self.layers)
        ]

    def tensors(self, layer: int) -> Tensors:
        return Tensors(self.q_THE, *self._pool, self._out_THE, self._tables[layer])

    def dealt(self, tiles: DecodeTiles, processors: int) -> tuple[Tensor, int]:
        """What a decode is launched with: work, and the parts that cut rows may make more."""
        extra = max(1, processors * tiles.waves // self.params.spec.num_kv_heads)
        least = -(-tiles.least // tiles.tile)
        work = deal.deal_decodes(
            self.starts_R1, self.contexts_R, len(self.rows),
            extra=extra, tile=tiles.tile, least=least, window=None,
        )  # fmt: skip
        return work, extra

    def keys_values(self, row: int) -> tuple[Tensor, Tensor]:
        """[L, G, E] of the last layer's pages."""
        context = self.rows[row][1]
        pages = self._tables[-1][row, : -(-context // self._page)].long()
        k, v = (cache[pages].flatten(0, 1)[:context].to(DTYPE) for cache in self._pool)
        return k, v

    def deviation(self, out_THE: Tensor | None = None) -> float:
        """Of the last token of the last row; of what the last layer wrote, if not of another."""
        out_THE = self._out_THE if out_THE is None else out_THE
        k_LGE, v_LGE = (t.double().repeat_interleave(GROUP, 1) for t in self.keys_values(-1))
        scores = torch.einsum("he,lhe->hl", self.q_THE[-1].double(), k_LGE) * self.params.scale
        expected = torch.einsum("hl,lhe->he", scores.softmax(-1), v_LGE)
        gap = (out_THE[-1].double() - expected).abs().max() / expected.abs().max()
        out_THE.fill_(math.nan)
        return float(gap)


def prefill_call(case: Case, tiles: PrefillTiles) -> Callable[[], None]:
    """attention_triton's prefill of the last layer."""
    block_q = tiles.block_m // GROUP
    rows, tokens = len(case.rows), len(case.q_THE)
    most = tokens // block_q + rows
    blocks = deal.deal_blocks(case.starts_R1, case.contexts_R, rows, 0, most, block_q)
    return lambda: launch.prefill(case.tensors(-1), blocks, most, GROUP, tiles, case.params)


def flash(case: Case) -> Callable[[], object]:
    """torch's flash attention on keys and values that were gathered before."""
    counts = [queries for queries, _ in case.rows]
    calls = []
    for row, q_THE in enumerate(case.q_THE.split(counts)):
        kv = (t.repeat_interleave(GROUP, 1) for t in case.keys_values(row))
        q, k, v = (t.transpose(0, 1).unsqueeze(0).contiguous() for t in (q_THE, *kv))
        calls.append((q, k, v, causal_lower_right(q.shape[2], k.shape[2])))

    def run() -> None:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            for q, k, v, mask in calls:
                F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    return run


def _tables(blocks: Tensor, widths: list[int]) -> Tensor:
    parts = list(blocks.split_with_sizes(widths))
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


def _ints(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int32, device=DEVICE)
