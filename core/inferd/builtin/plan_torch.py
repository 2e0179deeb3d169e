"""What TorchAttention gathers and hides in a step: index lists and masks of one KV group.

Shape suffixes: T tokens, R decode rows, C rows of a bucket, G KV heads, L padded context, B blocks.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.contracts.attention import KVSpec
from inferd.types import Batch

BUCKET_SHRINK = 0.75  # a new bucket starts where a row needs less than this share of the pages


@dataclass(slots=True)
class Bucket:
    """Decode rows of similar length."""

    first: int  # among the sorted decode rows
    count: int
    pages: Tensor  # [G * C * pages per row] rows of the flat cache
    mask_X1L: Tensor  # X = G * C; 0 where a key is visible, -inf elsewhere
    distance_CL: Tensor  # of keys from the row's end: -1 is the query itself


@dataclass(slots=True)
class LongQuery:
    """One row with several queries."""

    first: int  # among the tokens of the step
    count: int
    pages: Tensor  # [G * pages]
    context: int  # visible keys in `pages`, from its first slot
    mask_TL: Tensor | None  # None: plain causal from the first key


@dataclass(slots=True)
class TorchPlan:
    num_decodes: int
    order_R: Tensor  # decode rows by falling length
    inverse_R: Tensor
    buckets: list[Bucket]
    long: list[LongQuery]


def causal_mask(
    queries: int, keys: int, context: int, window: int | None, dtype: torch.dtype
) -> Tensor:
    """[queries, keys]: the last query is at the last of `context`, key 0 at context - keys."""
    at_T1 = torch.arange(context - queries, context).unsqueeze(1)
    key_L = torch.arange(context - keys, context)
    visible = key_L <= at_T1
    if window is not None:
        visible &= key_L > at_T1 - window
    mask = torch.zeros(queries, keys, dtype=dtype)
    return mask.masked_fill_(~visible, -math.inf)


class Planner:
    """Builds the index lists and masks of one step."""

    def __init__(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> None:
        self._batch = batch
        self._tables_RB = batch.block_tables_RB[group].long()
        self._spec = spec
        self._size = block_size
        self._device = batch.ids_T.device
        # 8 bits have no -inf
        self._mask_dtype = spec.dtype if spec.dtype.itemsize > 1 else torch.float32

    def plan(self) -> TorchPlan:
        decodes = self._batch.num_decodes
        contexts = self._batch.context_lens
        order = sorted(range(decodes), key=self._pages, reverse=True)
        inverse = [0] * decodes
        for place, row in enumerate(order):
            inverse[row] = place
        starts = itertools.accumulate(self._batch.query_lens, initial=0)
        return TorchPlan(
            num_decodes=decodes,
            order_R=self._index(order),
            inverse_R=self._index(inverse),
            buckets=list(self._buckets(order)),
            long=[
                self._long(row, first)
                for row, first in zip(range(len(contexts)), starts, strict=False)
                if row >= decodes
            ],
        )

    def _index(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)

    def _first_page(self, row: int, queries: int) -> int:
        """Where the window of the row's first query begins."""
        if self._spec.window is None:
            return 0
        first_query = self._batch.context_lens[row] - queries
        return max(0, first_query - self._spec.window + 1) // self._size

    def _pages(self, row: int) -> int:
        """Pages a decode row reads."""
        return -(-self._batch.context_lens[row] // self._size) - self._first_page(row, 1)

    def _flat_pages(self, pages: Tensor) -> Tensor:
        """Rows of the flat cache for every KV head: [G * ...]."""
        heads = torch.arange(self._spec.num_kv_heads, device=self._device)
        offsets = heads * self._num_blocks
        return (offsets.view(-1, *[1] * pages.dim()) + pages).reshape(-1)

    @property
    def _num_blocks(self) -> int:
        return self._batch.num_blocks

    def _buckets(self, order: list[int]) -> list[Bucket]:
        found: list[Bucket] = []
        first = 0
        while first < len(order):
            most = self._pages(order[first])
            end = first + 1
            while end < len(order) and self._pages(order[end]) >= BUCKET_SHRINK * most:
                end += 1
            found.append(self._bucket(order[first:end], first, most))
            first = end
        return found

    def _bucket(self, rows: list[int], first: int, pages: int) -> Bucket:
        firsts_C1 = self._index([self._first_page(row, 1) for row in rows]).unsqueeze(1)
        contexts_C1 = self._index([self._batch.context_lens[row] for row in rows]).unsqueeze(1)
        columns_CP = firsts_C1 + torch.arange(pages, device=self._device)
        columns_CP.clamp_(max=self._tables_RB.shape[1] - 1)
        pages_CP = self._tables_RB[self._index(rows).unsqueeze(1), columns_CP]
        keys_L = torch.arange(pages * self._size, device=self._device)
        distance_CL = firsts_C1 * self._size + keys_L - contexts_C1
        hidden_CL = distance_CL >= 0
        if self._spec.window is not None:
            hidden_CL |= distance_CL < -self._spec.window
        mask_CL = torch.zeros(hidden_CL.shape, dtype=self._mask_dtype, device=self._device)
        mask_CL.masked_fill_(hidden_CL, -math.inf)
        mask_X1L = mask_CL.repeat(self._spec.num_kv_heads, 1).unsqueeze(1)
        return Bucket(first, len(rows), self._flat_pages(pages_CP), mask_X1L, distance_CL)

    def _long(self, row: int, first: int) -> LongQuery:
        queries, context = self._batch.query_lens[row], self._batch.context_lens[row]
        page = self._first_page(row, queries)
        end = -(-context // self._size)
        pages = self._flat_pages(self._tables_RB[row, page:end])
        keys = context - page * self._size
        plain = keys == queries and self._spec.window is None
        mask_TL = None
        if not plain:
            mask_TL = causal_mask(queries, keys, context, self._spec.window, self._mask_dtype)
            mask_TL = mask_TL.to(self._device)
        return LongQuery(first, queries, pages, keys, mask_TL)
