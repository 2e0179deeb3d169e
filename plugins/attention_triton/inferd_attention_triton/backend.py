"""TritonAttention: decode and prefill over the paged cache, for CUDA graphs and without them.

The cache of a layer is one tensor [B, 2, G, S, E]: a block is one piece of memory, and in it the
keys of a head lie together.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block,
R rows.
"""

from __future__ import annotations

import importlib.util
import os

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict, no
from inferd.types import Batch
from inferd_attention_triton.plan import Dealt, TritonPlan, device_of
from inferd_attention_triton.tensors import Tensors

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
LARGEST_HEAD = 256
LARGEST_VALUE = 512  # of a latent


class TritonAttention(AttentionBackend):
    """Any block size, window and soft cap, ALiBi, sinks, latents; heads up to 256."""

    name = "triton"
    recordable = True
    alibi = True
    sinks = True
    latent = True
    narrow_cache = True
    strided_blocks = True

    def __init__(self) -> None:
        from inferd_attention_triton.kernels import chain, deal, launch

        self._chain, self._deal, self._launch = chain, deal, launch

    @classmethod
    def supports(cls, request: AttentionRequest) -> Verdict:
        if importlib.util.find_spec("triton") is None:
            return no("triton is not installed; pip install inferd[triton]")
        # on a CPU only for tests: in the interpreter a step takes seconds
        if request.platform not in ("cuda", "rocm") and not _interpreted():
            return no(f"made for cuda and rocm, this is {request.platform}")
        if request.kv_dtype is not None and request.platform == "rocm":
            return no("AMD's FP8 numbers are others, which no cache is made of yet")
        if request.value_dim is not None:
            if (reason := _latent_reason(request)) is not None:
                return no(reason)
        elif request.head_dim > LARGEST_HEAD:
            return no(f"heads of {request.head_dim}; {LARGEST_HEAD} is the largest")
        known = request.dtype in DTYPES
        return YES if known else no(f"{request.dtype}; it knows {', '.join(map(str, DTYPES))}")

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        copies = 2 if spec.value_dim is None else 1
        shape = (num_blocks, copies, spec.num_kv_heads, block_size, spec.head_dim)
        pool = torch.zeros(shape, dtype=spec.dtype, device=device)
        k_BSGE = pool[:, 0].transpose(1, 2)
        if spec.value_dim is not None:
            return k_BSGE, k_BSGE[..., : spec.value_dim]
        return k_BSGE, pool[:, 1].transpose(1, 2)

    def plan(
        self,
        batch: Batch,
        group: int,
        spec: KVSpec,
        block_size: int,  # noqa: ARG002 - the cache has it
    ) -> TritonPlan:
        architecture, processors = device_of(batch.contexts_R.device)
        return TritonPlan(batch, batch.block_tables_RB[group], spec, architecture, processors)

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: TritonPlan,
        params: AttentionParams,
    ) -> Tensor:
        out_THE = q_THE.new_empty(*q_THE.shape[:2], v_cache_BSGE.shape[-1])
        tensors = Tensors(q_THE, k_cache_BSGE, v_cache_BSGE, out_THE, plan.tables_RB)
        dealt, batch = plan.for_heads(params.num_heads), plan.batch
        if batch.num_decodes:
            self._decode(tensors, dealt, params)
        if batch.num_tokens > batch.num_decodes:
            blocks, programs, tiles = dealt.prefills(self._deal.deal_blocks)
            self._launch.prefill(tensors, blocks, programs, dealt.share, tiles, params)
        return out_THE

    def _decode(self, tensors: Tensors, dealt: Dealt, params: AttentionParams) -> None:
        work = dealt.decodes(self._deal.deal_decodes)
        chain = self._chain.ALONE
        if dealt.chained:
            chain = self._chain.CHAINED if dealt.started else self._chain.FIRST
            dealt.started = True
        rows = dealt.batch.num_decodes
        self._launch.decode(
            tensors, work, rows, dealt.extra, dealt.share, dealt.decode, params, chain
        )


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _latent_reason(request: AttentionRequest) -> str | None:
    """Why not, of a request for latents."""
    value_dim = request.value_dim or 0
    if value_dim > LARGEST_VALUE:
        return f"latents of {value_dim}; {LARGEST_VALUE} is the largest"
    if request.window or request.soft_cap or request.alibi or request.sinks:
        return "latents without window, soft cap, ALiBi and sinks only"
    if request.num_kv_heads != 1:
        return f"{request.num_kv_heads} latents for each token; it knows one"
    return None
