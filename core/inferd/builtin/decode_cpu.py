"""Decoding rows as a batch: what to gather, multiply and sum, once per step and KV group.

Rows are sorted by length and cut into buckets, so that little is padded. Pages that rows have in
common at their beginning are multiplied with the queries of all of them at once. Keys lie as
[G, B, S, E] and are gathered, page by page, for a batch of products; values lie as [B, S, G, E],
and their weighted sum is an embedding bag, which reads them where they lie.

Shape suffixes: R rows, C rows of a bucket, G KV heads, Q query heads per KV head, B blocks, S slots
per block, P pages, L keys per row, X = C * G.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inferd.builtin.scores_cpu import ScoreRule

SHRINK = 0.6  # a new bucket starts where a row needs less than this share of the pages
LEAST_SHARED = 4  # pages that rows must have in common to be worth products of their own
LEAST_SHARING = 4  # rows

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Of a KV group's caches."""

    kv_heads: int
    num_blocks: int
    block_size: int
    window: int | None
    dtype: torch.dtype

    def key_pages(self, pages: Ints) -> Tensor:
        """[..., P] -> flat [..., G, P]: rows of the keys seen as [G * B, S * E]."""
        heads = np.arange(self.kv_heads)[:, None] * self.num_blocks
        return torch.from_numpy((heads + pages[..., None, :]).reshape(-1))

    def first_page(self, position: int) -> int:
        """Where the window of a query at `position` begins."""
        return 0 if self.window is None else max(0, position - self.window + 1) // self.block_size


@dataclass(frozen=True, slots=True)
class Prefix:
    """Full pages that several rows begin with."""

    length: int  # L
    key_pages: Tensor  # flat [G, P]
    value_pages: Tensor  # [P]


@dataclass(slots=True)
class Bucket:
    """Rows of similar length."""

    lines: slice  # of the sorted queries [R * G, Q, E]
    length: int  # L
    key_pages: Tensor  # flat [C, G, P]
    value_rows_XL: Tensor  # int32, rows of the values seen as [B * S * G, E]
    open_from: int  # keys before it are visible to all rows
    mask_X1L: Tensor  # of the keys from there on: 0, or -inf
    prefix: Prefix | None  # keys before these
    own_C1: Tensor  # keys of each row after the prefix
    _bags: tuple[Tensor, Tensor] | None = field(default=None)

    def bags(self, per_head: int) -> tuple[Tensor, Tensor]:
        """Value rows, flat [X, Q, L], and where each query's begin. All layers have the same Q."""
        if self._bags is None:
            rows_XQL = self.value_rows_XL.unsqueeze(1).expand(-1, per_head, -1)
            ends = len(rows_XQL) * per_head * self.length
            starts = torch.arange(0, ends, self.length, dtype=torch.int32)
            self._bags = rows_XQL.reshape(-1), starts
        return self._bags

    def lean(self, scores_XQL: Tensor, first: int, rule: ScoreRule) -> None:
        """By ALiBi; key `first` is the scores' first one, key 0 the first after the prefix."""
        if rule.slopes_H is not None:
            keys_L = torch.arange(first, first + scores_XQL.shape[-1])
            scores_CHL = scores_XQL.view(len(self.own_C1), -1, len(keys_L))
            rule.lean(scores_CHL, keys_L - (self.own_C1 - 1))


@dataclass(frozen=True, slots=True)
class Decodes:
    """A step's decoding rows, in the order of their buckets."""

    order_R: Tensor
    inverse_R: Tensor
    buckets: list[Bucket]


def plan_decodes(tables_RP: Ints, contexts: Sequence[int], geometry: Geometry) -> Decodes:
    """Rows of the block table and the tokens each has in the cache, the current one included."""
    contexts_R = np.array(contexts)
    order: list[int] = []
    buckets: list[Bucket] = []
    for rows, num_shared in _sharing_groups(tables_RP, contexts_R, geometry):
        prefix = _prefix(tables_RP[rows[0], :num_shared], geometry) if num_shared else None
        for mine in _of_similar_length(rows, -(-contexts_R // geometry.block_size) - num_shared):
            skipped = [max(num_shared, geometry.first_page(contexts[row] - 1)) for row in mine]
            own_C = contexts_R[mine] - np.array(skipped) * geometry.block_size
            pages_CP = _pages(tables_RP[mine], skipped, own_C, geometry)
            buckets.append(_bucket(pages_CP, own_C, len(order), geometry, prefix))
            order += mine
    order_R = np.array(order, dtype=np.int64)
    return Decodes(torch.from_numpy(order_R), torch.from_numpy(order_R.argsort()), buckets)


def _of_similar_length(rows: Sequence[int], num_pages_R: Ints) -> Iterator[list[int]]:
    left = sorted(rows, key=lambda row: -int(num_pages_R[row]))
    while left:
        least = SHRINK * num_pages_R[left[0]]
        count = sum(bool(num_pages_R[row] >= least) for row in left)
        yield left[:count]
        left = left[count:]


def _pages(tables_CP: Ints, skipped: Sequence[int], own_C: Ints, geometry: Geometry) -> Ints:
    """Each row's pages after those it skips, padded with the null block."""
    num = -(-own_C // geometry.block_size)
    pages_CP = np.zeros((len(own_C), int(num.max())), dtype=np.int64)
    for line, table, skip, count in zip(pages_CP, tables_CP, skipped, num, strict=True):
        line[:count] = table[skip : skip + count]
    return pages_CP


def _bucket(
    pages_CP: Ints, own_C: Ints, first: int, geometry: Geometry, prefix: Prefix | None
) -> Bucket:
    count, heads, size = len(own_C), geometry.kv_heads, geometry.block_size
    length, own_C1 = pages_CP.shape[1] * size, torch.from_numpy(own_C)[:, None]
    open_from = int(own_C.min()) if geometry.window is None else 0
    keys_L = torch.arange(open_from, length)
    hidden_CL = keys_L >= own_C1
    if geometry.window is not None:
        hidden_CL |= keys_L < own_C1 - geometry.window
    mask_CL = torch.zeros(hidden_CL.shape, dtype=geometry.dtype).masked_fill_(hidden_CL, -math.inf)
    slots_CL = (pages_CP[:, :, None] * size + np.arange(size)).reshape(count, 1, -1)
    value_rows = (slots_CL * heads + np.arange(heads)[:, None]).reshape(count * heads, length)
    return Bucket(
        lines=slice(first * heads, (first + count) * heads),
        length=length,
        key_pages=geometry.key_pages(pages_CP),
        value_rows_XL=torch.from_numpy(value_rows.astype(np.int32)),
        open_from=open_from,
        mask_X1L=mask_CL.repeat_interleave(heads, 0).unsqueeze(1),
        prefix=prefix,
        own_C1=own_C1,
    )


def _prefix(pages_P: Ints, geometry: Geometry) -> Prefix:
    length = len(pages_P) * geometry.block_size
    return Prefix(length, geometry.key_pages(pages_P), torch.from_numpy(pages_P))


def _sharing_groups(
    tables_RP: Ints, contexts_R: Ints, geometry: Geometry
) -> Iterator[tuple[list[int], int]]:
    """Rows with the number of full pages they begin with in common; 0 where that gains nothing."""
    by_first: dict[int, list[int]] = {}
    for row, page in enumerate(tables_RP[:, 0].tolist()):
        by_first.setdefault(page, []).append(row)
    apart: list[int] = []
    for rows in by_first.values():
        common = 0
        if len(rows) >= LEAST_SHARING and geometry.window is None:
            full = (int(contexts_R[rows].min()) - 1) // geometry.block_size
            common = _num_common(tables_RP[rows, :full])
        if common >= LEAST_SHARED:
            yield rows, common
        else:
            apart += rows
    if apart:
        yield apart, 0


def _num_common(tables_RP: Ints) -> int:
    differs_P = (tables_RP != tables_RP[0]).any(axis=0)
    return int(differs_P.argmax()) if differs_P.any() else len(differs_P)
