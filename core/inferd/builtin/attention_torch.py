"""TorchAttention: attention over the paged cache with torch's own operators, for any device.

Decode rows are treated as a batch: sorted by length, cut into a few buckets so that little is
padded, their pages gathered once per layer and multiplied as one batch of matrices, with the query
heads of a KV head as the rows of a matrix (GQA-packed). Longer queries go row by row.

The cache of a layer lies as [G, B, S, E]: the gathered pages of a (head, row) are contiguous.

Shape suffixes: T tokens, R decode rows, C rows of a bucket, H query heads, G KV heads,
Q query heads per KV head, E head size, B blocks, S slots per block, L padded context.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.builtin.plan_torch import Bucket, LongQuery, Planner, TorchPlan, causal_mask
from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict
from inferd.contracts.zeros import lazy_zeros
from inferd.types import Batch


class TorchAttention(AttentionBackend):
    """Any head size, dtype, window, soft cap, ALiBi, sinks and latents; no kernels of its own."""

    name = "torch"
    alibi = True
    sinks = True
    latent = True
    narrow_cache = True

    @classmethod
    def supports(cls, request: AttentionRequest) -> Verdict:  # noqa: ARG003
        return YES

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        return allocate_heads_first(spec, num_blocks, block_size, device)

    def plan(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> TorchPlan:
        return Planner(batch, group, spec, block_size).plan()

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: TorchPlan,
        params: AttentionParams,
    ) -> Tensor:
        pages = Pages(k_cache_BSGE, v_cache_BSGE, params.spec, q_THE.dtype)
        if not plan.long:
            return _decode(q_THE, pages, plan, params)
        out_THE = q_THE.new_empty(*q_THE.shape[:2], v_cache_BSGE.shape[-1])
        if plan.num_decodes:
            decodes = slice(0, plan.num_decodes)
            out_THE[decodes] = _decode(q_THE[decodes], pages, plan, params)
        for row in plan.long:
            tokens = slice(row.first, row.first + row.count)
            out_THE[tokens] = _long(q_THE[tokens], pages, row, params)
        return out_THE


def allocate_heads_first(
    spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """[G, B, S, E] in memory; a latent once."""
    shape = (spec.num_kv_heads, num_blocks, block_size, spec.head_dim)
    if spec.value_dim is not None:
        k_BSGE = lazy_zeros(shape, spec.dtype, device).permute(1, 2, 0, 3)
        return k_BSGE, k_BSGE[..., : spec.value_dim]
    pool = lazy_zeros((2, *shape), spec.dtype, device)
    return pool[0].permute(1, 2, 0, 3), pool[1].permute(1, 2, 0, 3)


class Pages:
    """The caches of a layer as rows [G * B, S * E], without a copy; gathered as `dtype`."""

    def __init__(
        self, k_cache_BSGE: Tensor, v_cache_BSGE: Tensor, spec: KVSpec, dtype: torch.dtype
    ) -> None:
        self._spec, self._dtype = spec, dtype
        self._keys = _flat(k_cache_BSGE)
        self._values = self._keys if spec.value_dim is not None else _flat(v_cache_BSGE)

    def gather(self, pages: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Keys and values of `pages`, [count, L, E] each."""
        keys = self._rows(self._keys, pages).view(count, -1, self._spec.head_dim)
        if self._spec.value_dim is not None:
            return keys, keys[..., : self._spec.value_dim]
        return keys, self._rows(self._values, pages).view(keys.shape)

    def _rows(self, cache: Tensor, pages: Tensor) -> Tensor:
        if cache.dtype.itemsize > 1:
            return cache.index_select(0, pages)
        # of 8 bits as bytes, for which torch has everything
        return cache.view(torch.uint8).index_select(0, pages).view(cache.dtype).to(self._dtype)


def _flat(cache_BSGE: Tensor) -> Tensor:
    blocks, slots, heads, size = cache_BSGE.shape
    return cache_BSGE.permute(2, 0, 1, 3).view(heads * blocks, slots * size)


def _decode(q_RHE: Tensor, pages: Pages, plan: TorchPlan, params: AttentionParams) -> Tensor:
    rows, heads, size = q_RHE.shape
    kv_heads = params.spec.num_kv_heads
    q_GRQE = q_RHE.index_select(0, plan.order_R).view(rows, kv_heads, -1, size).transpose(0, 1)
    parts: list[Tensor] = []
    for bucket in plan.buckets:
        q_XQE = q_GRQE[:, bucket.first : bucket.first + bucket.count].reshape(
            kv_heads * bucket.count, -1, size
        )
        out_XQE = _attend(q_XQE, pages, bucket, params)
        by_head = out_XQE.view(kv_heads, bucket.count, -1, out_XQE.shape[-1])
        parts.append(by_head.transpose(0, 1))
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.index_select(0, plan.inverse_R).reshape(rows, heads, -1)


def _attend(q_XQE: Tensor, pages: Pages, bucket: Bucket, params: AttentionParams) -> Tensor:
    k_XLE, v_XLE = pages.gather(bucket.pages, len(q_XQE))
    bias = bucket.mask_X1L.to(q_XQE.dtype)
    if params.alibi_slopes_H is not None:
        slopes_G1Q1 = params.alibi_slopes_H.view(params.spec.num_kv_heads, 1, -1, 1)
        alibi = (slopes_G1Q1 * (bucket.distance_CL + 1).unsqueeze(1)).flatten(0, 1)
        bias = bias + alibi.to(bias.dtype)
    if params.soft_cap is None:
        scores = torch.baddbmm(bias, q_XQE, k_XLE.transpose(1, 2), alpha=params.scale)
    else:
        scores = torch.bmm(q_XQE, k_XLE.transpose(1, 2)) * (params.scale / params.soft_cap)
        scores = scores.tanh_().mul_(params.soft_cap).add_(bias)
    weights = torch.softmax(scores, -1)
    if params.sinks_H is not None:
        sinks_G1Q = params.sinks_H.view(params.spec.num_kv_heads, 1, -1)
        sinks_XQ = sinks_G1Q.expand(-1, bucket.count, -1).flatten(0, 1)
        weights = weights * beside_sinks(scores, sinks_XQ)
    return torch.bmm(weights, v_XLE)


def beside_sinks(scores: Tensor, sinks: Tensor) -> Tensor:
    """The share of all keys [..., 1] when sinks [...] are among them."""
    total = torch.logsumexp(scores.float(), -1)
    return torch.sigmoid(total - sinks).unsqueeze(-1).to(scores.dtype)


def _long(q_THE: Tensor, pages: Pages, row: LongQuery, params: AttentionParams) -> Tensor:
    keys, values = pages.gather(row.pages, params.spec.num_kv_heads)
    k_GLE, v_GLE = keys[:, : row.context], values[:, : row.context]
    q_HTE = q_THE.transpose(0, 1)
    mask = None if row.mask_TL is None else row.mask_TL.to(q_THE.dtype)
    if params.alibi_slopes_H is not None:
        mask = _alibi(params.alibi_slopes_H, row, q_THE.dtype)
    if params.soft_cap is not None or params.sinks_H is not None:
        return _by_hand(q_HTE, k_GLE, v_GLE, row, mask, params).transpose(0, 1)
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


def _by_hand(
    q_HTE: Tensor,
    k_GLE: Tensor,
    v_GLE: Tensor,
    row: LongQuery,
    mask: Tensor | None,
    params: AttentionParams,
) -> Tensor:
    """With a soft cap or sinks, which torch's own operator does not have."""
    repeats = params.num_heads // params.spec.num_kv_heads
    k_HLE, v_HLE = (t.repeat_interleave(repeats, 0) for t in (k_GLE, v_GLE))
    scores = torch.bmm(q_HTE, k_HLE.transpose(1, 2)) * params.scale
    if params.soft_cap is not None:
        scores = scores.div_(params.soft_cap).tanh_().mul_(params.soft_cap)
    if mask is None:
        mask = causal_mask(row.count, row.context, row.context, None, scores.dtype)
        mask = mask.to(scores.device)
    scores = scores + mask
    weights = torch.softmax(scores, -1)
    if params.sinks_H is not None:
        weights = weights * beside_sinks(scores, params.sinks_H.unsqueeze(-1))
    return torch.bmm(weights, v_HLE)
