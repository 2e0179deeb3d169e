"""Queries of one row when a step has several: products over blocks of them.

A block meets the keys that it may see and few others, so most of the hidden half of the causal
square is never computed. Keys lie as [G, B, S, E], values as [B, S, G, E].

Shape suffixes: T tokens, N queries of a block, R rows, H query heads, G KV heads, E head size,
B blocks, S slots per block, P pages, L keys.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.builtin.decode_cpu import Geometry, Ints
from inferd.builtin.scores_cpu import ScoreRule
from inferd.types import Batch

# 512 tokens of SmolLM2, one layer, 2 cores of an EPYC with AVX-512 bf16 (2026-11-25): blocks of 64
# take 1.35 ms, 128 1.17, 256 1.25; scaled_dot_product_attention 4.08.
QUERY_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Queries:
    """One row's tokens in a step, when there are several."""

    tokens: slice  # of the step
    first_key: int  # position of the first key in the pages
    context: int  # tokens in the cache, these included
    key_pages: Tensor  # flat [G, P]
    value_pages: Tensor  # [P]


def long_queries(batch: Batch, tables_RP: Ints, geometry: Geometry) -> list[Queries]:
    starts = list(itertools.accumulate(batch.query_lens, initial=0))
    found = []
    for row in range(batch.num_decodes, batch.num_rows):
        count, context = batch.query_lens[row], batch.context_lens[row]
        first = geometry.first_page(context - count)
        pages = tables_RP[row, first : -(-context // geometry.block_size)]
        found.append(
            Queries(
                tokens=slice(starts[row], starts[row] + count),
                first_key=first * geometry.block_size,
                context=context,
                key_pages=geometry.key_pages(pages),
                value_pages=torch.from_numpy(pages),
            )
        )
    return found


def attend_in_blocks(
    q_THE: Tensor,
    k_PSE: Tensor,
    v_BSGE: Tensor,
    queries: Queries,
    window: int | None,
    rule: ScoreRule,
    out_THE: Tensor,
) -> None:
    """Products over the keys that a block of queries may see, and few others."""
    kv_heads, size = v_BSGE.shape[2:]
    k_GLE = k_PSE.index_select(0, queries.key_pages).view(kv_heads, -1, size)
    v_GLE = v_BSGE.index_select(0, queries.value_pages).flatten(0, 1).transpose(0, 1).contiguous()
    q_HTE = q_THE.transpose(0, 1)
    count = len(q_THE)
    before = queries.context - count - queries.first_key  # keys before the first query
    for start in range(0, count, QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, count)
        low = 0 if window is None else max(0, before + start - window + 1)
        seen = slice(low, before + end)
        q_GNE = q_HTE[:, start:end].reshape(kv_heads, -1, size)
        scores = torch.bmm(q_GNE, k_GLE[:, seen].transpose(1, 2))
        scores_HNL = scores.view(-1, end - start, before + end - low)
        rule.cap(scores)
        distance_NL = torch.arange(low, before + end) - torch.arange(
            before + start, before + end
        ).unsqueeze(1)
        rule.lean(scores_HNL.transpose(0, 1), distance_NL)
        _hide(scores_HNL, window)
        out = torch.bmm(rule.weights(scores, heads_first=True), v_GLE[:, seen])
        out_THE[start:end] = out.view(-1, end - start, size).transpose(0, 1)


def _hide(scores_HNL: Tensor, window: int | None) -> None:
    """What lies after a query, or before its window. The last query is at the last key."""
    num, keys = scores_HNL.shape[1:]
    if window is None:
        future = torch.full((num, num), -math.inf, dtype=scores_HNL.dtype).triu_(1)
        scores_HNL[:, :, keys - num :].add_(future)
        return
    at_N1 = torch.arange(keys - num, keys).unsqueeze(1)
    key_L = torch.arange(keys)
    hidden_NL = (key_L > at_N1) | (key_L <= at_N1 - window)
    scores_HNL.masked_fill_(hidden_NL, -math.inf)
