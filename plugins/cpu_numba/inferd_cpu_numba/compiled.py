"""Compiled: the functions that layers of one kind need, and who computes what in a step.

Shape suffixes: R rows, B blocks of a row, I items.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionRequest
from inferd.types import Batch
from inferd_cpu_numba import runtime

UNBOUNDED = 1 << 30  # a window that hides nothing
ALONE = 1 << 18  # products of two numbers that take one thread 10 us: no others are woken for less


@dataclass(frozen=True, slots=True)
class Plan:
    """The same for all layers of a group whose heads are alike."""

    threads: int
    work: list[tuple[runtime.Call, int, int]]  # for each: addresses of its items and their number
    places: tuple[int, ...]  # the arguments that follow those
    parts: Tensor | None  # room for what items of rows leave that were dealt in parts
    kept: tuple[Tensor, ...]  # whose addresses are above


@dataclass(frozen=True, slots=True)
class GroupStep:
    """A group's rows in one step; work is dealt when the first layer of a kind asks for it."""

    batch: Batch
    table_RB: Tensor
    window: int  # 0 where there is none
    plans: dict[Compiled, Plan] = field(default_factory=dict)

    def plan(self, compiled: Compiled) -> Plan:
        found = self.plans.get(compiled)
        if found is None:
            found = self.plans[compiled] = compiled.plan(self.batch, self.table_RB, self.window)
        return found


class Compiled:
    """Compiles when it is made."""

    def __init__(self, request: AttentionRequest) -> None:
        from inferd_cpu_numba.kernels import arguments, attend, deal, merge
        from inferd_cpu_numba.kernels.items import ITEM_FIELDS
        from inferd_cpu_numba.kernels.shape import ROWS, Shape

        self.request, self._item, self._shares = request, 8 * ITEM_FIELDS, deal.SHARES
        bits = runtime.BITS[request.dtype]
        pairs = bits == 16 and runtime.multiplies_pairs()
        self._decodes = Shape.of(request, bits, 1, pairs)
        self._heads, self._queries = self._decodes.heads, max(1, ROWS // self._decodes.per_head)
        self._blocks = Shape.of(request, bits, self._queries, pairs)
        self._compiler = compiler = runtime.Compiler()
        self._decode = self._several = compiler.call(
            attend.make_attend(self._decodes), arguments.ATTEND
        )
        if self._queries > 1:
            self._several = compiler.call(attend.make_attend(self._blocks), arguments.ATTEND)
        self.merge = compiler.call(merge.make_merge(self._decodes), merge.MERGE)
        self._deal = compiler.call(deal.make_deal(), deal.DEAL)
        self._room = runtime.Room()

    def plan(self, batch: Batch, table_RB: Tensor, window: int) -> Plan:
        """`window` is 0 where there is none."""
        if self.request.alibi:  # distances are those of one row: none attend together
            window = window or UNBOUNDED
        threads = torch.get_num_threads()
        most = batch.num_tokens + 2 * batch.num_rows + self._shares * threads
        items_2I = torch.empty((2, most * self._item), dtype=torch.uint8)
        found_4 = self._dealt(batch, table_RB, window, threads, items_2I)
        if runtime.Call.keep is None:
            severals, decodes, num_parts, keys = found_4.tolist()
        else:  # a recorded step has room for whatever it will find
            severals, decodes, num_parts, keys = 1, 1, most, ALONE
        (several, one), found = (items.data_ptr() for items in items_2I), found_4.data_ptr()
        work = []
        if severals:
            work.append((self._several, several, found))
        if decodes:
            work.append((self._decode, one, found + 8))
        parts = torch.empty(num_parts * self._heads * self._decodes.part_floats)
        scratch = self._room.bytes(4 * threads * self._blocks.scratch_floats)
        places = (
            table_RB.data_ptr(),
            table_RB.stride(0),
            window,
            scratch.data_ptr(),
            parts.data_ptr(),
        )
        if keys * self.request.num_heads * self.request.head_dim < ALONE:
            threads = 1
        kept = (table_RB, items_2I, found_4, scratch)
        return Plan(threads, work, places, parts if num_parts else None, kept)

    def _dealt(
        self, batch: Batch, table_RB: Tensor, window: int, threads: int, items_2I: Tensor
    ) -> Tensor:
        """Items of several queries, items of one, parts of rows, keys in all."""
        found_4 = torch.empty(4, dtype=torch.int64)
        self._deal(
            1,
            batch.contexts_R.data_ptr(),
            batch.query_starts_R1.data_ptr(),
            table_RB.data_ptr(),
            table_RB.stride(0),
            batch.num_rows,
            batch.num_decodes,
            window,
            self.request.block_size,
            self._queries,
            self._heads,
            threads,
            *(items.data_ptr() for items in items_2I),
            found_4.data_ptr(),
        )
        return found_4
