"""NumbaAttention: a step's work is dealt out once and computed by compiled code in every layer.

The cache of a layer lies as [B, G, 2]: keys [E, S], then values [S, E]. Sixteen keys of a page are
one vector of a product, and so are sixteen numbers of a value; with pages of 16, heads of 64 and
bfloat16 what a head needs of a block is one page of memory. Latents are there once, as [B, S, E].

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict, no
from inferd.contracts.zeros import lazy_zeros
from inferd.types import Batch
from inferd_cpu_numba import runtime
from inferd_cpu_numba.compiled import Compiled, GroupStep
from inferd_cpu_numba.pages import Pages

LANES = 16
LOG2_E = math.log2(math.e)


class NumbaAttention(AttentionBackend):
    """Head and block sizes in sixteens; windows, soft caps, ALiBi, sinks, latents."""

    name = "numba"
    alibi = True
    sinks = True
    latent = True
    recordable = True
    strided_blocks = True

    def __init__(self) -> None:
        self._request: AttentionRequest
        self._compiled: dict[AttentionRequest, Compiled] = {}
        self._found: dict[int, tuple[AttentionParams, Compiled]] = {}  # by id of what is beside it
        self._pages = Pages()

    @classmethod
    def supports(cls, request: AttentionRequest) -> Verdict:
        verdict = runtime.supports(request.platform, request.dtype)
        if not verdict:
            return verdict
        for what, size in (
            ("heads", request.head_dim),
            ("values", request.value_dim or request.head_dim),
            ("blocks", request.block_size),
        ):
            if size % LANES:
                return no(f"wants sizes of {what} in sixteens, not {size}")
        return YES

    def prepare(self, request: AttentionRequest) -> None:
        """Layers of another kind are compiled for when they are first run: before any request."""
        self._request = request
        self._compiled[request] = Compiled(request)

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        heads, size = spec.num_kv_heads, spec.head_dim
        if spec.value_dim is not None:
            latents = self._fetched((num_blocks, block_size, heads, size), spec.dtype, device)
            return latents, latents[..., : spec.value_dim]
        pages = self._fetched((num_blocks, heads, 2, size * block_size), spec.dtype, device)
        keys = pages[:, :, 0].view(num_blocks, heads, size, block_size)
        values = pages[:, :, 1].view(num_blocks, heads, block_size, size)
        return keys.permute(0, 3, 1, 2), values.permute(0, 2, 1, 3)

    def _fetched(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        memory = lazy_zeros(shape, dtype, device)
        if device.type == "cpu":
            self._pages.fetch(memory)
        return memory

    def plan(
        self,
        batch: Batch,
        group: int,
        spec: KVSpec,
        block_size: int,  # noqa: ARG002
    ) -> GroupStep:
        self._pages.wait()
        return GroupStep(batch, batch.block_tables_RB[group], spec.window or 0)

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: GroupStep,
        params: AttentionParams,
    ) -> Tensor:
        found = self._found.get(id(params))
        compiled = self._compiled_for(params) if found is None else found[1]
        dealt = plan.plan(compiled)
        out_THE = torch.empty((*q_THE.shape[:2], v_cache_BSGE.shape[-1]), dtype=q_THE.dtype)
        q, out, stride = q_THE.data_ptr(), out_THE.data_ptr(), q_THE.stride(0)
        k, v = k_cache_BSGE.data_ptr(), v_cache_BSGE.data_ptr()
        page = k_cache_BSGE.stride(0) * k_cache_BSGE.itemsize
        given = q, k, v, out, stride, page, *_of_scores(params)
        for attend, items, count in dealt.work:
            attend(dealt.threads, *given, items, count, *dealt.places)
        if dealt.parts is not None:
            _, items, count = dealt.work[-1]
            compiled.merge(1, out, items, count, dealt.parts.data_ptr())
        return out_THE

    def _compiled_for(self, params: AttentionParams) -> Compiled:
        spec = params.spec
        request = replace(
            self._request,
            num_heads=params.num_heads,
            num_kv_heads=spec.num_kv_heads,
            head_dim=spec.head_dim,
            value_dim=spec.value_dim,
            soft_cap=params.soft_cap,
            alibi=params.alibi_slopes_H is not None,
            sinks=params.sinks_H is not None,
        )
        if request not in self._compiled:
            self._compiled[request] = Compiled(request)
        self._found[id(params)] = params, self._compiled[request]
        return self._compiled[request]


def _of_scores(params: AttentionParams) -> tuple[float, float, int, int]:
    """Scale and cap, so that scores are in base 2 (with a cap as `bent` wants them); then where
    slopes and sinks are."""
    slopes, sinks = (
        0 if each_H is None else each_H.data_ptr()
        for each_H in (params.alibi_slopes_H, params.sinks_H)
    )
    if params.soft_cap is None:
        return params.scale * LOG2_E, 0.0, slopes, sinks
    return 2 * params.scale / params.soft_cap * LOG2_E, params.soft_cap * LOG2_E, slopes, sinks
