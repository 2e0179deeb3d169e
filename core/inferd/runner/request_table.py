"""RequestTable: a fixed row for every running request, its columns on the device.

The sampler writes each token into the history of its row, and the next step gathers its input ids
there, so the host never waits to learn what it feeds. The host only writes diffs.

Shape suffixes: R rows of the table, L tokens of history, B blocks of a row, K draft tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from inferd.memory.staging import upload, upload_ints
from inferd.sampling.columns import SampleStep, SamplingColumns
from inferd.types import RowStart

MAX_DRAFTS = 0  # draft tokens per step: the column is there, a proposer makes it wider


class RequestTable:
    """Rows are given out by the scheduler; a row's contents hold until its next RowStart.

    One more row, `padding_row`, belongs to nobody: its tokens are 0 and all its blocks are block 0.
    """

    def __init__(
        self,
        num_rows: int,
        max_model_len: int,
        block_size: int,
        num_groups: int,
        device: torch.device,
    ) -> None:
        self.device = device
        self.num_rows = num_rows
        self.history_len = max_model_len + 1  # the last token sampled is never fed
        self.max_blocks = -(-max_model_len // block_size)
        self.padding_row = num_rows
        shape = (num_rows + 1, self.history_len)
        # untouched pages of an empty tensor cost no memory
        self.history_RL = torch.empty(shape, dtype=torch.int32, device=device)
        self.history_RL[:, 0] = 0
        self.history_RL[self.padding_row].zero_()
        self.block_tables_RB = [
            torch.zeros(num_rows + 1, self.max_blocks, dtype=torch.int32, device=device)
            for _ in range(num_groups)
        ]
        self.sampling = SamplingColumns(num_rows, device)
        self.drafts_RK = torch.zeros(num_rows, MAX_DRAFTS, dtype=torch.int32, device=device)
        self._history = self.history_RL.view(-1)
        self._tables = [table_RB.view(-1) for table_RB in self.block_tables_RB]
        self._num_blocks = [[0] * num_rows for _ in range(num_groups)]

    def start_rows(self, starts: Sequence[RowStart]) -> None:
        """Give rows to sequences: known tokens, block tables and sampling parameters."""
        rows = upload_ints([start.row for start in starts], self.device)
        for group, table_RB in enumerate(self.block_tables_RB):
            blocks = np.zeros((len(starts), self.max_blocks), dtype=np.int32)
            for line, start in zip(blocks, starts, strict=True):
                line[: len(start.block_ids[group])] = start.block_ids[group]
            table_RB.index_copy_(0, rows, upload(blocks, self.device))
        for start in starts:
            tokens = np.array(start.prompt_ids + start.output_ids, dtype=np.int32)
            self.history_RL[start.row, : len(tokens)].copy_(upload(tokens, self.device))
            for group in range(len(self.block_tables_RB)):
                self._num_blocks[group][start.row] = len(start.block_ids[group])
        self.sampling.write(starts)

    def append_blocks(self, blocks: Sequence[tuple[int, int, int]]) -> None:
        """(group, row, block): one device write per group."""
        for group, table in enumerate(self._tables):
            counts = self._num_blocks[group]
            places, values = [], []
            for of_group, row, block in blocks:
                if of_group == group:
                    places.append(row * self.max_blocks + counts[row])
                    values.append(block)
                    counts[row] += 1
            if places:
                self._append(table, places, values)

    def _append(self, table: Tensor, places: list[int], values: list[int]) -> None:
        """Places are int64 and blocks int32: they travel as words of 32 bits."""
        words = np.array(places, dtype=np.int64).view(np.int32), np.array(values, dtype=np.int32)
        words_X = upload(np.concatenate(words), self.device)
        split = 2 * len(places)
        table.index_copy_(0, words_X[:split].view(torch.int64), words_X[split:])

    def append_tokens(self, tokens: Sequence[tuple[int, int, int]]) -> None:
        """(row, position, token): what no step samples, in one device write."""
        rows, positions, ids = np.array(tokens, dtype=np.int64).T
        diff = upload(np.stack((rows * self.history_len + positions, ids)), self.device)
        self.put(diff[0], diff[1])

    def put_sampled(self, step: SampleStep, ids_N: Tensor) -> None:
        """Append each row's sampled token to its history."""
        self.put(step.rows_N * self.history_len + step.ends_N, ids_N)

    def put(self, places_N: Tensor, ids_N: Tensor) -> None:
        """Write tokens to places of the flat history, row * history_len + position."""
        self._history.index_copy_(0, places_N, ids_N.to(torch.int32))
