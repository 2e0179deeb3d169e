"""allowed_token_ids, bad_words, min_tokens and logit_bias, in this order (vLLM's).

Each is a short list of tokens per row. The lists of a batch are joined into flat indices once and
kept while the same rows sample; bad words are compared with the token history on the device. As in
vLLM, a bad word must lie in the output alone.

Shape suffixes: N rows of a step, R rows of the request table, V vocabulary, L history, W bad words,
M tokens of the longest of them but its last, X entries of a joined list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from inferd.memory.staging import upload, upload_ints
from inferd.sampling.columns import SampleStep
from inferd.types import RowStart


@dataclass(slots=True)
class RowBias:
    """What one row asks for, on the host."""

    allowed: list[int] | None
    banned: list[int]  # bad words of one token
    words: list[list[int]]  # longer bad words
    stops: list[int]
    stops_from: int  # position from which stop tokens are allowed
    bias: dict[int, float]

    @classmethod
    def of(cls, start: RowStart) -> RowBias:
        params = start.params
        return cls(
            allowed=params.allowed_token_ids,
            banned=[word[0] for word in start.bad_word_ids if len(word) == 1],
            words=[word for word in start.bad_word_ids if len(word) > 1],
            stops=[*start.eos_ids, *params.stop_token_ids],
            stops_from=len(start.prompt_ids) + params.min_tokens,
            bias=params.logit_bias,
        )


@dataclass(slots=True)
class Joined:
    """The lists of a batch as they are applied; built on the host, used by many steps."""

    allowed_X: Tensor | None = None  # flat indices into logits
    allowed_places: Tensor | None = None  # rows that have such a list
    banned_X: Tensor | None = None
    bias_X: Tensor | None = None
    bias_values_X: Tensor | None = None
    words: Words | None = None


@dataclass(slots=True)
class Words:
    """Bad words of several tokens: their beginnings, right-aligned, and their last tokens."""

    heads_WM: Tensor  # int64, right-aligned, -1 before the beginning
    lengths_W: Tensor  # tokens of each head
    places_W: Tensor  # index of its row in the batch
    lasts_W: Tensor  # flat index of the last token


@dataclass(slots=True)
class TokenBias:
    """Keeps the lists of all rows and applies those of a step."""

    device: torch.device
    prompt_len_R: Tensor  # int64, a column of the request table
    _rows: dict[int, RowBias] = field(default_factory=dict)
    _version: int = 0
    _key: tuple[object, ...] = ()
    _joined: Joined = field(default_factory=Joined)

    def write(self, start: RowStart) -> None:
        self._rows[start.row] = RowBias.of(start)
        self._version += 1

    def clear(self, row: int) -> None:
        if self._rows.pop(row, None) is not None:
            self._version += 1

    def apply(self, logits_NV: Tensor, history_RL: Tensor, step: SampleStep) -> None:
        """In place."""
        early = self._early(step)
        key = (self._version, step.rows.tobytes(), early)
        if key != self._key:
            self._joined = self._join(step, set(early), logits_NV.shape[1])
            self._key = key
        flat = logits_NV.view(-1)
        joined = self._joined
        if joined.allowed_X is not None and joined.allowed_places is not None:
            kept_X = flat[joined.allowed_X]
            logits_NV.index_fill_(0, joined.allowed_places, -torch.inf)
            flat[joined.allowed_X] = kept_X
        if joined.words is not None:
            self._ban_words(flat, history_RL, step, joined.words)
        if joined.banned_X is not None:
            flat.index_fill_(0, joined.banned_X, -torch.inf)
        if joined.bias_X is not None and joined.bias_values_X is not None:
            flat.index_add_(0, joined.bias_X, joined.bias_values_X)

    def _early(self, step: SampleStep) -> tuple[int, ...]:
        """Places of rows that may not stop yet."""
        found = ((i, self._rows.get(int(row))) for i, row in enumerate(step.rows))
        return tuple(i for i, mine in found if mine and step.ends[i] < mine.stops_from)

    def _join(self, step: SampleStep, early: set[int], vocab: int) -> Joined:
        mine = [(i, self._rows[int(r)]) for i, r in enumerate(step.rows) if int(r) in self._rows]
        allowed = [(i, row.allowed) for i, row in mine if row.allowed is not None]
        banned = [(i, row.banned + (row.stops if i in early else [])) for i, row in mine]
        biased = [(i, row.bias) for i, row in mine if row.bias]
        joined = Joined(banned_X=self._flat(banned, vocab))
        if allowed:
            joined.allowed_X = self._flat(allowed, vocab)
            joined.allowed_places = upload_ints([i for i, _ in allowed], self.device)
        if biased:
            joined.bias_X = self._flat(biased, vocab)
            values = [value for _, bias in biased for value in bias.values()]
            joined.bias_values_X = upload(np.array(values, dtype=np.float32), self.device)
        joined.words = self._join_words([(i, w) for i, row in mine for w in row.words], vocab)
        return joined

    def _flat(self, lists: Sequence[tuple[int, Iterable[int]]], vocab: int) -> Tensor | None:
        flat = [place * vocab + token for place, tokens in lists for token in tokens]
        return upload_ints(flat, self.device) if flat else None

    def _join_words(self, words: list[tuple[int, list[int]]], vocab: int) -> Words | None:
        if not words:
            return None
        heads = np.full((len(words), max(len(w) for _, w in words) - 1), -1, dtype=np.int64)
        for line, (_, word) in zip(heads, words, strict=True):
            line[len(line) - len(word) + 1 :] = word[:-1]
        return Words(
            heads_WM=upload(heads, self.device),
            lengths_W=upload_ints([len(w) - 1 for _, w in words], self.device),
            places_W=upload_ints([i for i, _ in words], self.device),
            lasts_W=upload_ints([i * vocab + w[-1] for i, w in words], self.device),
        )

    def _ban_words(self, flat: Tensor, history_RL: Tensor, step: SampleStep, words: Words) -> None:
        """-inf for the last token of every word whose beginning the row's output ends with."""
        rows_W, ends_W = step.rows_N[words.places_W], step.ends_N[words.places_W]
        width = words.heads_WM.shape[1]
        positions_WM = ends_W[:, None] - width + torch.arange(width, device=self.device)
        tails_WM = history_RL[rows_W[:, None], positions_WM.clamp(min=0)]
        equal_W = ((tails_WM == words.heads_WM) | (words.heads_WM < 0)).all(dim=1)
        equal_W &= ends_W - words.lengths_W >= self.prompt_len_R[rows_W]
        flat.index_add_(0, words.lasts_W, torch.where(equal_W, -torch.inf, 0.0))
