"""TritonPlan: a step's work for the layers of a group, dealt when the first of them asks.

Shape suffixes: R rows, B blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from inferd.contracts.attention import KVSpec
from inferd.types import Batch
from inferd_attention_triton.tuned import (
    DecodeTiles,
    PrefillTiles,
    Tiles,
    chained,
    select,
    select_decode,
    select_latent,
    select_prefill,
    share_of,
)

SPARE_PROGRAMS = 32  # for rows that fill no block, in a recorded step


@dataclass(slots=True)
class TritonPlan:
    """References to the batch's tensors and numbers that the host knows: fit for recording."""

    batch: Batch
    tables_RB: Tensor
    spec: KVSpec
    architecture: str
    processors: int
    dealt: dict[int, Dealt] = field(default_factory=dict)  # by the query heads of layers

    def for_heads(self, heads: int) -> Dealt:
        if heads not in self.dealt:
            self.dealt[heads] = Dealt.of(self, heads)
        return self.dealt[heads]


@dataclass(slots=True)
class Dealt:
    """What layers with as many query heads have in common."""

    batch: Batch
    heads: int
    share: int  # query heads of a program
    tiles: Tiles
    decode: DecodeTiles
    processors: int
    extra: int  # as in kernels/deal.py
    window: int | None
    chained: bool
    started: bool = False  # a decode was launched after everything before it
    work: Tensor | None = None  # the decodes
    blocks: dict[int, Tensor] = field(default_factory=dict)  # the prefills, by queries of a block

    @classmethod
    def of(cls, plan: TritonPlan, heads: int) -> Dealt:
        spec, architecture = plan.spec, plan.architecture
        if spec.value_dim is None:
            tiles = select(architecture, spec.head_dim, spec.dtype.itemsize)
        else:
            tiles = select_latent(architecture, heads, spec.dtype.itemsize)
        decode = select_decode(tiles, plan.batch.num_decodes)
        group = heads // spec.num_kv_heads
        share = share_of(group, tiles.heads)
        beside = spec.num_kv_heads * -(-group // share)  # programs with the same part of a row
        return cls(
            batch=plan.batch,
            heads=heads,
            share=share,
            tiles=tiles,
            decode=decode,
            processors=plan.processors,
            extra=max(1, plan.processors * decode.waves // beside),
            window=spec.window,
            chained=chained(architecture),
        )

    def decodes(self, deal: Callable[..., Tensor]) -> Tensor:
        if self.work is None:
            self.work = deal(
                self.batch.query_starts_R1,
                self.batch.contexts_R,
                self.batch.num_decodes,
                extra=self.extra,
                tile=self.decode.tile,
                least=-(-self.decode.least // self.decode.tile),
                window=self.window,
            )
        return self.work

    def prefills(self, deal: Callable[..., Tensor]) -> tuple[Tensor, int, PrefillTiles]:
        """(blocks, programs for each share of heads, tiles).

        In a recorded step any row may be a prefill, and none has a known length.
        """
        batch, recorded = self.batch, not self.batch.query_lens
        decodes = 0 if recorded else batch.num_decodes
        rows, tokens = batch.num_rows - decodes, batch.num_tokens - decodes
        longest = tokens if recorded else max(batch.query_lens)
        tiles = select_prefill(self.tiles, self.heads, self.share, tokens, longest, self.processors)
        block_q = tiles.block_m // self.share
        if block_q not in self.blocks:
            self.blocks[block_q] = deal(
                batch.query_starts_R1,
                batch.contexts_R,
                batch.num_rows,
                batch.num_decodes,
                tokens // block_q + rows,
                block_q,
            )
        programs = tokens // block_q + (min(rows, SPARE_PROGRAMS) if recorded else rows)
        return self.blocks[block_q], programs, tiles


@lru_cache
def device_of(device: torch.device) -> tuple[str, int]:
    """The architecture as tables spell it, and the number of multiprocessors."""
    if device.type == "cpu":
        return "interpreter", 2
    properties = torch.cuda.get_device_properties(device)
    if torch.version.hip is not None:
        return properties.gcnArchName.split(":")[0], properties.multi_processor_count
    return f"sm_{properties.major}{properties.minor}", properties.multi_processor_count
