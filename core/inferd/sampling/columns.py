"""SamplingColumns: the sampling parameters of every row of the request table.

Packed device columns, and host flags that say what a batch needs, so that no step asks the device.

Shape suffixes: R rows of the request table, N sampling rows of a step, F float and I int columns.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inferd.memory.staging import upload
from inferd.sampling.masks import TokenMasks
from inferd.sampling.noise import row_key
from inferd.types import RowStart


class Need(enum.IntFlag):
    """What sampling a row takes beyond the largest logit."""

    RANDOM = 1
    FILTER = 2  # top_k, top_p or min_p
    PENALTIES = 4
    BIAS = 8  # logit_bias, allowed_token_ids, bad_words, min_tokens
    PROCESSORS = 16  # of plugins
    LOGPROBS = 32
    MASK = 64  # of a grammar


class Float(enum.IntEnum):
    TEMPERATURE = 0
    TOP_P = 1
    MIN_P = 2
    REPETITION = 3
    PRESENCE = 4
    FREQUENCY = 5


class Int(enum.IntEnum):
    KEY = 0  # of the noise: from seed and sample index
    TOP_K = 1  # 0: off
    PROMPT_LEN = 2
    ADAPTER = 3  # adapter slot, 0: none


Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SampleStep:
    """The rows that sample in a step, on the host and on the device."""

    rows: Positions  # of the request table
    ends: Positions  # position of the token to be sampled
    step_2N: Tensor  # int64, both

    @classmethod
    def of(cls, rows: Positions, ends: Positions, device: torch.device) -> SampleStep:
        return cls(rows, ends, upload(np.stack((rows, ends)), device))

    @property
    def rows_N(self) -> Tensor:
        return self.step_2N[0]

    @property
    def ends_N(self) -> Tensor:
        return self.step_2N[1]

    def take(self, places: Positions) -> SampleStep:
        """The step of some of its rows only."""
        return SampleStep.of(self.rows[places], self.ends[places], self.step_2N.device)


class SamplingColumns:
    """Written when a row starts, read by every step."""

    def __init__(self, num_rows: int, device: torch.device) -> None:
        self.device = device
        self.floats_RF = torch.zeros(num_rows, len(Float), device=device)
        self.ints_RI = torch.zeros(num_rows, len(Int), dtype=torch.int64, device=device)
        self.flags = np.zeros(num_rows, dtype=np.int64)  # host: Need
        self.top_k = np.zeros(num_rows, dtype=np.int64)  # host copy: decides the window
        self.num_logprobs = np.zeros(num_rows, dtype=np.int64)  # host
        self.prompt_len = np.zeros(num_rows, dtype=np.int64)  # host copy
        self.masks = TokenMasks(device)  # of the step that is sampled next

    def write(self, starts: Sequence[RowStart]) -> None:
        """Take over the parameters of new rows: three device writes for any number of them."""
        rows = upload(np.array([s.row for s in starts], dtype=np.int64), self.device)
        floats = np.array([_floats(s) for s in starts], dtype=np.float32)
        ints = np.array([_ints(s) for s in starts], dtype=np.int64)
        self.floats_RF.index_copy_(0, rows, upload(floats, self.device))
        self.ints_RI.index_copy_(0, rows, upload(ints, self.device))
        for start in starts:
            self.flags[start.row] = _needs(start)
            self.top_k[start.row] = max(0, start.params.top_k)
            self.num_logprobs[start.row] = start.params.logprobs or 0
            self.prompt_len[start.row] = len(start.prompt_ids)

    def needs(self, rows: Positions) -> int:
        """The union over rows."""
        return int(np.bitwise_or.reduce(self.flags[rows]))

    def places(self, rows: Positions, need: int) -> Positions:
        """Which of `rows` have any of `need`."""
        return np.flatnonzero(self.flags[rows] & need)

    def clear(self, row: int) -> None:
        """Sample the row greedily and without more ado: its request has failed."""
        self.flags[row] = 0


def _floats(start: RowStart) -> tuple[float, ...]:
    p = start.params
    return (
        p.temperature,
        p.top_p,
        p.min_p,
        p.repetition_penalty,
        p.presence_penalty,
        p.frequency_penalty,
    )


def _ints(start: RowStart) -> tuple[int, ...]:
    key = row_key(start.seed, start.index)
    return key, max(0, start.params.top_k), len(start.prompt_ids), 0


def _needs(start: RowStart) -> int:
    p = start.params
    need = 0
    if not p.greedy:
        need |= Need.RANDOM
        if p.top_k > 0 or p.top_p < 1.0 or p.min_p > 0.0:
            need |= Need.FILTER
    if p.has_penalties:
        need |= Need.PENALTIES
    if p.logit_bias or p.allowed_token_ids is not None or start.bad_word_ids or p.min_tokens:
        need |= Need.BIAS
    if p.logprobs is not None:
        need |= Need.LOGPROBS
    if p.structured_outputs is not None:
        need |= Need.MASK
    return int(need)
