"""TritonAttention: decode and prefill over the paged cache, for CUDA graphs and without them.

The cache of a layer is one tensor [B, 2, G, S, E]: a block is one piece of memory, and in it the
keys of a head lie together.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block,
R rows.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, AttentionParams, AttentionRequest, KVSpec
from inferd.contracts.verdict import YES, Verdict, no
from inferd.types import Batch
from inferd_attention_triton.tensors import Tensors
from inferd_attention_triton.tuned import (
    DecodeTiles,
    Tiles,
    chained,
    select,
    select_decode,
    select_prefill,
)

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
LARGEST_HEAD = 256
LARGEST_GROUP = 32  # query heads of a KV head: they share a block of queries
SPARE_PROGRAMS = 32  # for rows that fill no block, in a recorded step


@dataclass(slots=True)
class TritonPlan:
    """References to the batch's tensors and numbers that the host knows: fit for recording."""

    batch: Batch
    tables_RB: Tensor
    tiles: Tiles
    decode: DecodeTiles
    processors: int
    extra: int
    work: Tensor | None  # the decodes, dealt
    chained: bool
    started: bool = False  # a decode was launched after everything before it
    blocks: dict[int, Tensor] = field(default_factory=dict)  # the prefills, by queries of a block


class TritonAttention(AttentionBackend):
    """Any block size, window and soft cap; heads up to 256."""

    name = "triton"
    recordable = True

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
        if request.head_dim > LARGEST_HEAD:
            return no(f"heads of {request.head_dim}; {LARGEST_HEAD} is the largest")
        if request.num_heads // request.num_kv_heads > LARGEST_GROUP:
            return no(
                f"{request.num_heads} query heads for {request.num_kv_heads} KV heads; "
                f"{LARGEST_GROUP} for each is the most"
            )
        if request.dtype not in DTYPES:
            return no(f"{request.dtype}; it knows {', '.join(map(str, DTYPES))}")
        return YES

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        shape = (num_blocks, 2, spec.num_kv_heads, block_size, spec.head_dim)
        pool = torch.zeros(shape, dtype=spec.dtype, device=device)
        return pool[:, 0].transpose(1, 2), pool[:, 1].transpose(1, 2)

    def plan(
        self,
        batch: Batch,
        group: int,
        spec: KVSpec,
        block_size: int,  # noqa: ARG002 - the cache has it
    ) -> TritonPlan:
        architecture, processors = device_of(batch.contexts_R.device)
        tiles = select(architecture, spec.head_dim, spec.dtype.itemsize)
        decode = select_decode(tiles, batch.num_decodes)
        extra = max(1, processors * decode.waves // spec.num_kv_heads)
        work = None
        if batch.num_decodes:
            work = self._deal.deal_decodes(
                batch.query_starts_R1,
                batch.contexts_R,
                batch.num_decodes,
                extra=extra,
                tile=decode.tile,
                least=-(-decode.least // decode.tile),
                window=spec.window,
            )
        tables_RB = batch.block_tables_RB[group]
        chain = chained(architecture)
        return TritonPlan(batch, tables_RB, tiles, decode, processors, extra, work, chain)

    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: TritonPlan,
        params: AttentionParams,
    ) -> Tensor:
        out_THE = torch.empty(q_THE.shape, dtype=q_THE.dtype, device=q_THE.device)
        tensors = Tensors(q_THE, k_cache_BSGE, v_cache_BSGE, out_THE, plan.tables_RB)
        batch = plan.batch
        if plan.work is not None:
            chain = self._chain.ALONE
            if plan.chained:
                chain = self._chain.CHAINED if plan.started else self._chain.FIRST
                plan.started = True
            rows = batch.num_decodes
            self._launch.decode(tensors, plan.work, rows, plan.extra, plan.decode, params, chain)
        if batch.num_tokens > batch.num_decodes:
            self._prefill(tensors, plan, params)
        return out_THE

    def _prefill(self, tensors: Tensors, plan: TritonPlan, params: AttentionParams) -> None:
        """In a recorded step any row may be a prefill, and none has a known length."""
        batch, heads, kv_heads = plan.batch, params.num_heads, params.spec.num_kv_heads
        recorded = not batch.query_lens
        rows = batch.num_rows - (0 if recorded else batch.num_decodes)
        tokens = batch.num_tokens - (0 if recorded else batch.num_decodes)
        longest = tokens if recorded else max(batch.query_lens)
        tiles = select_prefill(plan.tiles, heads, kv_heads, tokens, longest, plan.processors)
        block_q = tiles.block_m * kv_heads // heads
        blocks = plan.blocks.get(block_q)
        if blocks is None:
            blocks = plan.blocks[block_q] = self._deal.deal_blocks(
                batch.query_starts_R1,
                batch.contexts_R,
                batch.num_rows,
                batch.num_decodes,
                tokens // block_q + rows,
                block_q,
            )
        programs = tokens // block_q + (min(rows, SPARE_PROGRAMS) if recorded else rows)
        self._launch.prefill(tensors, blocks, programs, tiles, params)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


@lru_cache
def device_of(device: torch.device) -> tuple[str, int]:
    """The architecture as tables spell it, and the number of multiprocessors."""
    if device.type == "cpu":
        return "interpreter", 2
    properties = torch.cuda.get_device_properties(device)
    if torch.version.hip is not None:
        return properties.gcnArchName.split(":")[0], properties.multi_processor_count
    return f"sm_{properties.major}{properties.minor}", properties.multi_processor_count
