"""Batches over a paged cache on the GPU, exact as an eager step sees them or padded for a graph.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block,
L keys of a row, R rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionParams, KVSpec
from inferd.testing import reference
from inferd.types import Batch
from inferd_attention_triton.backend import TritonAttention

Row = tuple[int, int]  # (queries, context)


class Paged:
    """Rows over scattered blocks; everything that no query may see is NaN."""

    def __init__(
        self,
        rows: Sequence[Row],
        dtype: torch.dtype = torch.bfloat16,
        *,
        heads: int = 32,
        kv_heads: int = 8,
        size: int = 128,
        value_dim: int | None = None,
        block: int = 16,
        window: int | None = None,
        soft_cap: float | None = None,
        num_blocks: int | None = None,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.rows, self.block = rows, block
        kind = "latent" if value_dim else "window" if window else "full"
        spec = KVSpec(kv_heads, size, dtype, kind, window, value_dim)
        self.params = AttentionParams(heads, size**-0.5, spec, 0, soft_cap)
        self.backend = TritonAttention()
        widths = [-(-context // block) for _, context in rows]
        self.num_blocks = num_blocks or sum(widths) + 8
        free = torch.randperm(self.num_blocks - 1, device="cuda") + 1
        self.tables = [t.int() for t in free[: sum(widths)].split_with_sizes(widths)]
        self.caches = self.backend.allocate(spec, self.num_blocks, block, torch.device("cuda"))
        spread = 2.0 / math.sqrt(math.sqrt(size))
        tokens = sum(queries for queries, _ in rows)
        self.q_THE = (torch.randn(tokens, heads, size, device="cuda") * spread).to(dtype)
        for cache_BSGE in self.caches:
            cache_BSGE[1:] = math.nan  # padding rows read block 0
        self.keys_values = [self._fill(row, spread) for row in range(len(rows))]

    def _fill(self, row: int, spread: float) -> list[Tensor]:
        context, spec = self.rows[row][1], self.params.spec
        at = torch.arange(context, device="cuda")
        drawn = []
        for cache_BSGE in self.caches[:1] if spec.value_dim else self.caches:
            shape = (context, spec.num_kv_heads, spec.head_dim)
            values = (torch.randn(shape, device="cuda") * spread).to(spec.dtype)
            cache_BSGE[self.tables[row][at // self.block].long(), at % self.block] = values
            drawn.append(values)
        return drawn if spec.value_dim is None else [drawn[0], drawn[0][..., : spec.value_dim]]

    def expected(self) -> Tensor:
        counts = [queries for queries, _ in self.rows]
        params = self.params
        with torch.device("cuda"):
            outs = [
                reference.attention(q, *kv, params.scale, params.spec.window, params.soft_cap)
                for q, kv in zip(self.q_THE.split(counts), self.keys_values, strict=True)
            ]
        return torch.cat(outs)

    def run(self, batch: Batch, q_THE: Tensor | None = None) -> Tensor:
        q_THE = self.q_THE if q_THE is None else q_THE
        plan = self.backend.plan(batch, 0, self.params.spec, self.block)
        return self.backend.forward(q_THE, *self.caches, plan, self.params)

    def exact(self) -> Batch:
        counts = [queries for queries, _ in self.rows]
        width = max(map(len, self.tables))
        batch = self.padded(len(counts), sum(counts), width)
        batch.query_lens, batch.context_lens = counts, [context for _, context in self.rows]
        batch.num_decodes = next((i for i, c in enumerate(counts) if c != 1), len(counts))
        return batch

    def padded(self, rows: int, tokens: int, width: int) -> Batch:
        """As the runner pads: spare rows have one token each, or the first of them all."""
        counts = [queries for queries, _ in self.rows]
        contexts = [context for _, context in self.rows]
        spare, left = rows - len(counts), tokens - sum(counts)
        more = [1] * spare if rows == tokens else [left, *[0] * (spare - 1)][:spare]
        tables_RB = torch.zeros(rows, width, dtype=torch.int32, device="cuda")
        for row, table in enumerate(self.tables):
            tables_RB[row, : len(table)] = table
        starts = [0, *itertools.accumulate([*counts, *more])]
        nothing = torch.zeros(0, device="cuda")
        return Batch(
            num_tokens=tokens,
            num_rows=rows,
            num_decodes=rows,
            num_blocks=self.num_blocks,
            query_lens=[],
            context_lens=[],
            rows_R=nothing,
            ids_T=nothing,
            positions_T=nothing,
            query_starts_R1=_ints(starts),
            contexts_R=_ints([*contexts, *more]),
            slots_T=[nothing],
            block_tables_RB=[tables_RB],
            logits_N=nothing,
        )


def _ints(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int32, device="cuda")
