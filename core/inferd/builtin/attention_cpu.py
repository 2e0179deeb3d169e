"""CpuAttention: attention over the paged cache from what oneDNN and an embedding bag do well.

2 cores of an EPYC with AVX-512 bf16, SmolLM2 (9 query and 3 KV heads of 64), one layer, 2026-11-25.
64 rows of 300 tokens: keys gathered into the same memory every time and multiplied 480 us (into
fresh memory 770); values through an embedding bag 360, gathered and multiplied 470.

Keys lie as [G, B, S, E]: the pages of a head are products' operands when gathered. Values lie as
[B, S, G, E]: a token's are one row.

Shape suffixes: T tokens, N queries of a block, R decoding rows, H query heads, G KV heads, Q query
heads per KV head, E head size, B blocks, S slots per block, P pages, L keys, X = rows * G.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.builtin.decode_cpu import Bucket, Decodes, Geometry, plan_decodes
from inferd.builtin.prefill_cpu import Queries, attend_in_blocks, long_queries
from inferd.builtin.scores_cpu import ScoreRule
from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict, no
from inferd.contracts.zeros import lazy_zeros
from inferd.types import Batch


@dataclass(frozen=True, slots=True)
class CpuPlan:
    num_decodes: int
    decodes: Decodes | None
    long: list[Queries]
    window: int | None


class CpuAttention(AttentionBackend):
    """Any head size, window, soft cap, ALiBi and sinks."""

    name = "cpu"
    alibi = True
    sinks = True

    def __init__(self) -> None:
        self._scratch: Tensor | None = None

    @classmethod
    def supports(cls, request: AttentionRequest) -> Verdict:
        if request.platform != "cpu":
            return no(f"made for CPUs, this is {request.platform}")
        return YES

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        heads, size = spec.num_kv_heads, spec.head_dim
        keys = lazy_zeros((heads, num_blocks, block_size, size), spec.dtype, device)
        values = lazy_zeros((num_blocks, block_size, heads, size), spec.dtype, device)
        return keys.permute(1, 2, 0, 3), values

    def plan(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> CpuPlan:
        geometry = Geometry(
            spec.num_kv_heads, batch.num_blocks, block_size, spec.window, spec.dtype
        )
        tables_RP = batch.block_tables_RB[group].long().numpy()
        num = batch.num_decodes
        return CpuPlan(
            num_decodes=num,
            decodes=plan_decodes(tables_RP[:num], batch.context_lens[:num], geometry)
            if num
            else None,
            long=long_queries(batch, tables_RP, geometry),
            window=spec.window,
        )

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: CpuPlan,
        params: AttentionParams,
    ) -> Tensor:
        k_PSE = k_cache_BSGE.permute(2, 0, 1, 3).flatten(0, 1)
        q_THE, rule = q_THE * params.scale, ScoreRule.of(params)
        if not plan.long:
            assert plan.decodes is not None
            return self._decode(q_THE, k_PSE, v_cache_BSGE, plan.decodes, rule)
        out_THE = torch.empty_like(q_THE)
        if plan.decodes is not None:
            rows = slice(0, plan.num_decodes)
            out_THE[rows] = self._decode(q_THE[rows], k_PSE, v_cache_BSGE, plan.decodes, rule)
        for queries in plan.long:
            tokens = queries.tokens
            attend_in_blocks(
                q_THE[tokens], k_PSE, v_cache_BSGE, queries, plan.window, rule, out_THE[tokens]
            )
        return out_THE

    def _decode(
        self, q_RHE: Tensor, k_PSE: Tensor, v_BSGE: Tensor, decodes: Decodes, rule: ScoreRule
    ) -> Tensor:
        rows, heads, size = q_RHE.shape
        if rows > 1:
            q_RHE = q_RHE.index_select(0, decodes.order_R)
        q_XQE = q_RHE.view(rows * v_BSGE.shape[2], -1, size)
        outs = []
        for bucket in decodes.buckets:
            q = q_XQE[bucket.lines]
            scores_XQL = self._own_scores(q, k_PSE, bucket, rule)
            if bucket.prefix is None:
                weights_XQL = rule.weights(scores_XQL, heads_first=False)
                outs.append(_bag_values(weights_XQL, v_BSGE, bucket))
            else:
                outs.append(_with_prefix(q, scores_XQL, k_PSE, v_BSGE, bucket, rule))
        out = outs[0] if len(outs) == 1 else torch.cat(outs)
        out_RHE = out.view(rows, heads, size)
        return out_RHE.index_select(0, decodes.inverse_R) if rows > 1 else out_RHE

    def _own_scores(self, q_XQE: Tensor, k_PSE: Tensor, bucket: Bucket, rule: ScoreRule) -> Tensor:
        k_XLE = self._gather_keys(k_PSE, bucket).view(len(q_XQE), bucket.length, -1)
        scores_XQL = torch.bmm(q_XQE, k_XLE.transpose(1, 2))
        rule.cap(scores_XQL)
        bucket.lean(scores_XQL, 0, rule)
        if bucket.open_from < bucket.length:
            scores_XQL[:, :, bucket.open_from :].add_(bucket.mask_X1L)
        return scores_XQL

    def _gather_keys(self, k_PSE: Tensor, bucket: Bucket) -> Tensor:
        """Into the same memory every time: fresh pages would cost more than the copy."""
        num = bucket.key_pages.numel()
        if self._scratch is None or len(self._scratch) < num:
            self._scratch = torch.empty(num, *k_PSE.shape[1:], dtype=k_PSE.dtype)
        return torch.index_select(k_PSE, 0, bucket.key_pages, out=self._scratch[:num])


def _bag_values(weights_XQL: Tensor, v_BSGE: Tensor, bucket: Bucket) -> Tensor:
    """Weighted sums of values, [X * Q, E]."""
    rows, starts = bucket.bags(weights_XQL.shape[1])
    flat = v_BSGE.view(-1, v_BSGE.shape[-1])
    out: Tensor = torch.embedding_bag(
        flat, rows, starts, mode=0, per_sample_weights=weights_XQL.reshape(-1)
    )[0]
    return out


def _with_prefix(
    q_XQE: Tensor,
    own_XQL: Tensor,
    k_PSE: Tensor,
    v_BSGE: Tensor,
    bucket: Bucket,
    rule: ScoreRule,
) -> Tensor:
    """The queries of all rows meet the shared keys and values in one product per KV head."""
    prefix = bucket.prefix
    assert prefix is not None
    kv_heads, per_head = v_BSGE.shape[2], q_XQE.shape[1]
    k_GLE = k_PSE.index_select(0, prefix.key_pages).view(kv_heads, prefix.length, -1)
    v_GLE = v_BSGE.index_select(0, prefix.value_pages).flatten(0, 1).transpose(0, 1)
    shared = torch.bmm(_heads_first(q_XQE, kv_heads), k_GLE.transpose(1, 2))
    rule.cap(shared)
    shared_XQL = _rows_first(shared, per_head)
    bucket.lean(shared_XQL, -prefix.length, rule)
    both_XQL = torch.cat((shared_XQL, own_XQL), -1)
    shared_XQL, own_XQL = rule.weights(both_XQL, heads_first=False).tensor_split(
        (prefix.length,), -1
    )
    out = torch.bmm(_heads_first(shared_XQL, kv_heads), v_GLE)
    return _bag_values(own_XQL, v_BSGE, bucket) + _rows_first(out, per_head).flatten(0, 1)


def _heads_first(x: Tensor, kv_heads: int) -> Tensor:
    """[C * G, Q, ...] -> [G, C * Q, ...]"""
    by_row = x.view(-1, kv_heads, *x.shape[1:])
    return by_row.transpose(0, 1).reshape(kv_heads, -1, x.shape[-1])


def _rows_first(x: Tensor, per_head: int) -> Tensor:
    """[G, C * Q, ...] -> [C * G, Q, ...]"""
    by_head = x.view(len(x), -1, per_head, x.shape[-1])
    return by_head.transpose(0, 1).reshape(-1, per_head, x.shape[-1])
