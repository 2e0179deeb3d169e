"""TorchAttention: attention over the paged cache with torch's own operators, for any device.

Decode rows are treated as a batch: sorted by length, cut into a few buckets so that little is
padded, their pages gathered once per layer and multiplied as one batch of matrices, with the query
heads of a KV head as the rows of a matrix (GQA-packed). Longer queries go row by row.

The cache of a layer lies as [G, B, S, E]: the gathered pages of a (head, row) are contiguous.

Shape suffixes: T tokens, R decode rows, C rows of a bucket, H query heads, G KV heads,
Q query heads per KV head, E head size, B blocks, S slots per block, L padded context.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict
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


class TorchAttention(AttentionBackend):
    """Any head size, dtype, window, soft cap and ALiBi; no kernels of its own."""

    name = "torch"
    alibi = True

    @classmethod
    def supports(cls, request: AttentionRequest) -> Verdict:  # noqa: ARG003
        return YES

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        shape = (2, spec.num_kv_heads, num_blocks, block_size, spec.head_dim)
        pool = lazy_zeros(shape, spec.dtype, device)
        return pool[0].permute(1, 2, 0, 3), pool[1].permute(1, 2, 0, 3)

    def plan(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> TorchPlan:
        planner = _Planner(batch, group, spec, block_size)
        return planner.plan()

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: TorchPlan,
        params: AttentionParams,
    ) -> Tensor:
        k_flat, v_flat = _flat(k_cache_BSGE), _flat(v_cache_BSGE)
        if not plan.long:
            return _decode(q_THE, k_flat, v_flat, plan, params)
        out_THE = torch.empty_like(q_THE)
        if plan.num_decodes:
            decodes = slice(0, plan.num_decodes)
            out_THE[decodes] = _decode(q_THE[decodes], k_flat, v_flat, plan, params)
        for row in plan.long:
            tokens = slice(row.first, row.first + row.count)
            out_THE[tokens] = _long(q_THE[tokens], k_flat, v_flat, row, params)
        return out_THE


def lazy_zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """On a CPU the pages are taken from the system when they are first written."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    lazy = np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)
    return torch.from_numpy(lazy).view(dtype).view(shape)


def _flat(cache_BSGE: Tensor) -> Tensor:
    """[G * B, S * E], without a copy."""
    blocks, slots, heads, size = cache_BSGE.shape
    return cache_BSGE.permute(2, 0, 1, 3).view(heads * blocks, slots * size)


def _decode(
    q_RHE: Tensor, k_flat: Tensor, v_flat: Tensor, plan: TorchPlan, params: AttentionParams
) -> Tensor:
    rows, heads, size = q_RHE.shape
    kv_heads = params.spec.num_kv_heads
    q_GRQE = q_RHE.index_select(0, plan.order_R).view(rows, kv_heads, -1, size).transpose(0, 1)
    parts: list[Tensor] = []
    for bucket in plan.buckets:
        q_XQE = q_GRQE[:, bucket.first : bucket.first + bucket.count].reshape(
            kv_heads * bucket.count, -1, size
        )
        out_XQE = _attend(q_XQE, k_flat, v_flat, bucket, params)
        parts.append(out_XQE.view(kv_heads, bucket.count, -1, size).transpose(0, 1))
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.index_select(0, plan.inverse_R).reshape(rows, heads, size)


def _attend(
    q_XQE: Tensor, k_flat: Tensor, v_flat: Tensor, bucket: Bucket, params: AttentionParams
) -> Tensor:
    count, _, size = q_XQE.shape
    k_XLE = k_flat.index_select(0, bucket.pages).view(count, -1, size)
    v_XLE = v_flat.index_select(0, bucket.pages).view(count, -1, size)
    bias = bucket.mask_X1L
    if params.alibi_slopes_H is not None:
        slopes_G1Q1 = params.alibi_slopes_H.view(params.spec.num_kv_heads, 1, -1, 1)
        alibi = (slopes_G1Q1 * (bucket.distance_CL + 1).unsqueeze(1)).flatten(0, 1)
        bias = bias + alibi.to(bias.dtype)
    if params.soft_cap is None:
        scores = torch.baddbmm(bias, q_XQE, k_XLE.transpose(1, 2), alpha=params.scale)
    else:
        scores = torch.bmm(q_XQE, k_XLE.transpose(1, 2)) * (params.scale / params.soft_cap)
        scores = scores.tanh_().mul_(params.soft_cap).add_(bias)
    return torch.bmm(torch.softmax(scores, -1), v_XLE)


def _long(
    q_THE: Tensor, k_flat: Tensor, v_flat: Tensor, row: LongQuery, params: AttentionParams
) -> Tensor:
    size, kv_heads = q_THE.shape[-1], params.spec.num_kv_heads
    k_GLE = k_flat.index_select(0, row.pages).view(kv_heads, -1, size)[:, : row.context]
    v_GLE = v_flat.index_select(0, row.pages).view(kv_heads, -1, size)[:, : row.context]
    q_HTE = q_THE.transpose(0, 1)
    mask = row.mask_TL
    if params.alibi_slopes_H is not None:
        mask = _alibi(params.alibi_slopes_H, row, q_THE.dtype)
    if params.soft_cap is not None:
        return _capped(q_HTE, k_GLE, v_GLE, row, mask, params).transpose(0, 1)
    out_1HTE = F.scaled_dot_product_attention(
        q_HTE.unsqueeze(0),
        k_GLE.unsqueeze(0),
        v_GLE.unsqueeze(0),
        attn_mask=mask,
        is_causal=mask is None,
        scale=params.scale,
        enable_gqa=True,
    )
    return out_1HTE[0].transpose(0, 1)


def _alibi(slopes_H: Tensor, row: LongQuery, dtype: torch.dtype) -> Tensor:
    """[H, T, L], with what a query may not see at -inf."""
    key_L = torch.arange(row.context, device=slopes_H.device)
    distance_TL = key_L - key_L[row.context - row.count :].unsqueeze(1)
    bias_HTL = slopes_H.view(-1, 1, 1) * distance_TL
    if row.mask_TL is None:
        return bias_HTL.masked_fill(distance_TL > 0, -math.inf).to(dtype)
    return bias_HTL.to(dtype) + row.mask_TL


def _capped(
    q_HTE: Tensor,
    k_GLE: Tensor,
    v_GLE: Tensor,
    row: LongQuery,
    mask: Tensor | None,
    params: AttentionParams,
) -> Tensor:
    assert params.soft_cap is not None
    repeats = params.num_heads // params.spec.num_kv_heads
    k_HLE, v_HLE = (t.repeat_interleave(repeats, 0) for t in (k_GLE, v_GLE))
    scores = torch.bmm(q_HTE, k_HLE.transpose(1, 2)) * (params.scale / params.soft_cap)
    scores = scores.tanh_().mul_(params.soft_cap)
    if mask is None:
        mask = _causal_mask(row.count, row.context, row.context, None, scores.dtype)
    return torch.bmm(torch.softmax(scores + mask, -1), v_HLE)


def _causal_mask(
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


class _Planner:
    """Builds the index lists and masks of one step."""

    def __init__(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> None:
        self._batch = batch
        self._tables_RB = batch.block_tables_RB[group].long()
        self._spec = spec
        self._size = block_size
        self._device = batch.ids_T.device

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
        mask_CL = torch.zeros(hidden_CL.shape, dtype=self._spec.dtype, device=self._device)
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
            mask_TL = _causal_mask(queries, keys, context, self._spec.window, self._spec.dtype)
            mask_TL = mask_TL.to(self._device)
        return LongQuery(first, queries, pages, keys, mask_TL)
