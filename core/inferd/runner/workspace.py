"""The largest step an engine may take, for measuring the memory that it needs.

Shape suffixes: T tokens of the step, R rows of the step, B blocks of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from inferd.config.scheduler import SchedulerOptions
from inferd.contracts.model import CausalLM
from inferd.memory.kv_groups import KVGroups
from inferd.runner.choices import Choices
from inferd.types import Batch

BLOCKS = 2  # of the cache it runs on: all tokens share a slot


@dataclass(frozen=True, slots=True)
class LargestStep:
    """Called, every row decodes but the last, whose prompt takes the other tokens."""

    scheduler: SchedulerOptions
    choices: Choices
    model: CausalLM
    groups: KVGroups
    block_size: int

    def __call__(self) -> None:
        attention, device = self.choices.attention, self.choices.platform.device
        caches = self.groups.allocate(attention, BLOCKS, self.block_size, device)
        batch = self._batch(device)
        batch.attention = [
            attention.plan(batch, group, spec, self.block_size)
            for group, spec in enumerate(self.groups.specs)
        ]
        hidden_TD = self.model(batch, caches)
        self.model.compute_logits(hidden_TD[batch.logits_N])

    def with_tokens(self, most: int | None) -> LargestStep:
        """Of `most` tokens at most, a quarter of them decoding; None: the same."""
        if most is None or self.scheduler.max_num_batched_tokens <= most:
            return self
        update = {
            "max_num_batched_tokens": most,
            "max_num_seqs": min(self.scheduler.max_num_seqs, most // 4),
        }
        return replace(self, scheduler=self.scheduler.model_copy(update=update))

    def _batch(self, device: torch.device) -> Batch:
        tokens = self.scheduler.max_num_batched_tokens
        rows = min(self.scheduler.max_num_seqs, tokens)
        counts = [1] * (rows - 1) + [tokens - rows + 1]
        num_groups = len(self.groups.specs)
        counts_R = torch.tensor(counts, dtype=torch.int32, device=device)
        starts_R1 = torch.zeros(rows + 1, dtype=torch.int32, device=device)
        starts_R1[1:] = counts_R.cumsum(0)
        zeros_T = torch.zeros(tokens, dtype=torch.int64, device=device)
        pages = -(-counts[-1] // self.block_size)
        table_RB = torch.zeros(rows, pages, dtype=torch.int32, device=device)
        return Batch(
            num_tokens=tokens,
            num_rows=rows,
            num_decodes=rows if counts[-1] == 1 else rows - 1,
            num_blocks=BLOCKS,
            query_lens=counts,
            context_lens=counts,
            rows_R=zeros_T[:rows],
            ids_T=zeros_T,
            positions_T=zeros_T,
            query_starts_R1=starts_R1,
            contexts_R=counts_R,
            slots_T=[zeros_T] * num_groups,
            block_tables_RB=[table_RB] * num_groups,
            logits_N=starts_R1[1:].long() - 1,
        )
