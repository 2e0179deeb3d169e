"""NumbaAttention: a step's work is dealt out once and computed by compiled code in every layer.

The cache of a layer lies as [B, G, 2]: keys [E, S], then values [S, E]. Sixteen keys of a page are
one vector of a product, and so are sixteen numbers of a value; with pages of 16, heads of 64 and
bfloat16 what a head needs of a block is one page of memory. Latents are there once, as [B, S, E].

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict, no
from inferd.errors import UnsupportedModel
from inferd.types import Batch
from inferd_cpu_numba import runtime
from inferd_cpu_numba.compiled import Compiled, Plan
from inferd_cpu_numba.pages import Pages

LANES = 16
LOG2_E = math.log2(math.e)


class NumbaAttention(AttentionBackend):
    """Head and block sizes in sixteens; windows, soft caps, ALiBi, latents."""

    name = "numba"
    alibi = True
    latent = True
    recordable = True

    def __init__(self) -> None:
        self._compiled: Compiled
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
        self._compiled = Compiled(request)

    def allocate(
        self,
        spec: KVSpec,
        num_blocks: int,
        block_size: int,
        device: torch.device,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        heads, size = spec.num_kv_heads, spec.head_dim
        request = self._compiled.request
        if (heads, size) != (request.num_kv_heads, request.head_dim):
            raise UnsupportedModel(
                "the attention backend 'numba' wants KV heads of one number and size in all "
                "layers; choose another with --attention-backend cpu"
            )
        if spec.value_dim is not None:
            latents = _lazy_zeros((num_blocks, block_size, heads, size), spec.dtype)
            self._pages.fetch(latents)
            return latents, latents[..., : spec.value_dim]
        pages = _lazy_zeros((num_blocks, heads, 2, size * block_size), spec.dtype)
        self._pages.fetch(pages)
        keys = pages[:, :, 0].view(num_blocks, heads, size, block_size)
        values = pages[:, :, 1].view(num_blocks, heads, block_size, size)
        return keys.permute(0, 3, 1, 2), values.permute(0, 2, 1, 3)

    def plan(
        self,
        batch: Batch,
        group: int,
        spec: KVSpec,
        block_size: int,  # noqa: ARG002
    ) -> Plan:
        self._pages.wait()
        return self._compiled.plan(batch, batch.block_tables_RB[group], spec.window or 0)

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: Plan,
        params: AttentionParams,
    ) -> Tensor:
        out_THE = torch.empty((*q_THE.shape[:2], v_cache_BSGE.shape[-1]), dtype=q_THE.dtype)
        q, out, stride = q_THE.data_ptr(), out_THE.data_ptr(), q_THE.stride(0)
        k, v = k_cache_BSGE.data_ptr(), v_cache_BSGE.data_ptr()
        given = q, k, v, out, stride, *_of_scores(params)
        for attend, items, count in plan.work:
            attend(plan.threads, *given, items, count, *plan.places)
        if plan.parts is not None:
            _, items, count = plan.work[-1]
            self._compiled.merge(1, out, items, count, plan.parts.data_ptr())
        return out_THE


def _of_scores(params: AttentionParams) -> tuple[float, float, int]:
    """Scale and cap, so that scores are in base 2 (with a cap as `bent` wants them), and slopes."""
    slopes = 0 if params.alibi_slopes_H is None else params.alibi_slopes_H.data_ptr()
    if params.soft_cap is None:
        return params.scale * LOG2_E, 0.0, slopes
    return 2 * params.scale / params.soft_cap * LOG2_E, params.soft_cap * LOG2_E, slopes


def _lazy_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Pages are taken from the system when they are first written."""
    lazy = np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)
    return torch.from_numpy(lazy).view(dtype).view(shape)
