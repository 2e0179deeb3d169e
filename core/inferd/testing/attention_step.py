"""AttentionStep: one batch of an AttentionCase, with caches in which the unseen is stale.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionBackend, AttentionParams
from inferd.testing import reference
from inferd.testing.attention_cases import ROWS, AttentionCase
from inferd.testing.drive import kv_spec
from inferd.testing.numbers import DTYPES
from inferd.types import Batch

STALE = 50.0  # freed blocks keep their contents: what no query may see is large
SPREAD = 2.0  # of queries and keys: scores of several units, so that attention has favourites


class Step:
    """One batch over scattered blocks, as group 1; the tables of group 0 lead elsewhere.

    What no query may see is stale: free blocks, slots after the end, pages out of the window.
    """

    def __init__(self, case: AttentionCase, device: torch.device) -> None:
        self._case, self._device, self._dtype = case, device, DTYPES[case.dtype]
        self._rows = ROWS[case.rows]
        self._widths = [-(-context // case.block_size) for _, context in self._rows]
        self._num_blocks = sum(self._widths) + 5
        order = torch.randperm(self._num_blocks - 1, generator=_seeded(0)) + 1
        self._blocks = list(order[: sum(self._widths)].split_with_sizes(self._widths))
        for blocks in self._blocks[1:]:
            blocks[: case.shared] = self._blocks[0][: case.shared]
        self._kept: torch.dtype = getattr(torch, case.narrow or case.dtype)  # in the cache
        self.spec = kv_spec(case.kv_heads, case.head_dim, case.window, self._kept, case.value_dim)
        slopes_H = 2.0 ** -torch.arange(1, case.heads + 1) if case.alibi else None
        self._slopes_H = slopes_H
        self._sinks_H = torch.arange(case.heads) * 1.5 - 2.0 if case.sinks else None
        self.params = AttentionParams(
            num_heads=case.heads,
            scale=case.scale,
            spec=self.spec,
            group=1,
            soft_cap=case.soft_cap,
            alibi_slopes_H=None if slopes_H is None else slopes_H.to(device),
            sinks_H=None if self._sinks_H is None else self._sinks_H.to(device),
        )
        self.batch = self._batch()

    def queries(self, layer: int) -> Tensor:
        total = sum(count for count, _ in self._rows)
        return self._draw(layer, total, self._case.heads)

    def keys_and_values(self, layer: int, row: int) -> list[Tensor]:
        context, common = self._rows[row][1], self._case.shared * self._case.block_size
        drawn: list[Tensor] = []
        for seed in (1000 + layer, 3000 + layer):
            values = self._draw(seed + 10 * row, context, self._case.kv_heads)
            if row and common:
                values[:common] = self._draw(seed, self._rows[0][1], self._case.kv_heads)[:common]
            drawn.append(values)
        if self._case.value_dim is not None:
            drawn[1] = drawn[0][..., : self._case.value_dim]
        return [values.to(self._kept).to(self._dtype) for values in drawn]

    def fill(self, backend: AttentionBackend, layer: int, apart: int = 1) -> tuple[Tensor, Tensor]:
        """The caches of a layer after this step's write; every `apart`-th block is the layer's."""
        size = self._case.block_size
        k_BSGE, v_BSGE = backend.allocate(self.spec, self._num_blocks * apart, size, self._device)
        caches = k_BSGE[::apart], v_BSGE[::apart]
        widths = self._case.head_dim, self._case.value_dim or self._case.head_dim
        for place, cache_BSGE in enumerate(caches):
            shape = (self._num_blocks, size, self._case.kv_heads, widths[place])
            assert tuple(cache_BSGE.shape) == shape, f"allocate() gave {tuple(cache_BSGE.shape)}"
            assert cache_BSGE.dtype == self._kept, f"allocate() gave {cache_BSGE.dtype}"
            cache_BSGE.fill_(STALE)
            for row, blocks in enumerate(self._blocks):
                values = self.keys_and_values(layer, row)[place]
                at = torch.arange(self._first_seen(row), len(values))
                place_BS = blocks[at // size].to(self._device), at.to(self._device) % size
                bits, values = _bits(cache_BSGE), values[at].to(self._kept)
                bits[place_BS] = _bits(values)
        return caches

    def expected(self, layer: int) -> Tensor:
        counts = [count for count, _ in self._rows]
        q_by_row = self.queries(layer).cpu().split_with_sizes(counts)
        return torch.cat([self._expected_row(layer, row, q) for row, q in enumerate(q_by_row)])

    def _expected_row(self, layer: int, row: int, q_THE: Tensor) -> Tensor:
        k_LGE, v_LGE = (t.cpu() for t in self.keys_and_values(layer, row))
        case = self._case
        return reference.attention(
            q_THE,
            k_LGE,
            v_LGE,
            case.scale,
            case.window,
            case.soft_cap,
            self._slopes_H,
            self._sinks_H,
        )

    def _first_seen(self, row: int) -> int:
        """The first position that a query of this step sees; blocks before it have been freed."""
        count, context = self._rows[row]
        return 0 if self._case.window is None else max(0, context - count - self._case.window + 1)

    def _draw(self, seed: int, length: int, heads: int) -> Tensor:
        shape = (length, heads, self._case.head_dim)
        noise = torch.randn(shape, generator=_seeded(seed)) * (
            SPREAD / math.sqrt(math.sqrt(shape[-1]))
        )
        return noise.to(self._dtype).to(self._device)

    def _batch(self) -> Batch:
        counts, contexts = ([row[i] for row in self._rows] for i in range(2))
        ends = list(itertools.accumulate(counts))
        place = torch.cat([torch.arange(c - n, c) for n, c in self._rows])
        row = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        tables_RB = torch.nn.utils.rnn.pad_sequence(self._blocks, batch_first=True).int()
        size = self._case.block_size
        slots_T = tables_RB[row, place // size].long() * size + place % size
        elsewhere_RB = (tables_RB + 3) % self._num_blocks
        to = self._device
        return Batch(
            num_tokens=ends[-1],
            num_rows=len(counts),
            num_decodes=counts.count(1),
            num_blocks=self._num_blocks,
            query_lens=counts,
            context_lens=contexts,
            rows_R=torch.arange(len(counts), device=to),
            ids_T=torch.zeros(ends[-1], dtype=torch.int64, device=to),
            positions_T=place.to(to),
            query_starts_R1=torch.tensor([0, *ends], dtype=torch.int32, device=to),
            contexts_R=torch.tensor(contexts, dtype=torch.int32, device=to),
            slots_T=[slots_T.to(to)] * 2,
            block_tables_RB=[elsewhere_RB.to(to), tables_RB.to(to)],
            logits_N=torch.tensor(ends, device=to) - 1,
        )


def _bits(values: Tensor) -> Tensor:
    """Of 8 bits as bytes, which torch can put into their places."""
    return values.view(torch.uint8) if values.dtype.itemsize == 1 else values


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
