"""Driving a model by hand: its weights, its paged caches, and batches of any mixture of rows.

Shape suffixes: T tokens, R rows, B blocks, V vocabulary.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from inferd.builtin.attention_torch import TorchAttention
from inferd.builtin.ops_torch import TorchOps
from inferd.builtin.unquantized import Unquantized
from inferd.contracts.attention import AttentionBackend, KVSpec
from inferd.contracts.loader import WeightLoader
from inferd.contracts.model import BuildContext, CausalLM, ModelConfig
from inferd.contracts.ops import OpRequest, Ops
from inferd.host.host import Host
from inferd.loading.weights import load_weights
from inferd.memory.kv_groups import KVGroups
from inferd.runner.choices import choose_ops
from inferd.types import Batch

CPU = torch.device("cpu")


def reference_ops(dtype: torch.dtype) -> Ops:
    offered: Mapping[str, Any] = TorchOps().ops(OpRequest("cpu", "test", dtype))
    return Ops(**offered)


@functools.cache
def installed_ops(platform: str, dtype: torch.dtype) -> Ops:
    """What a worker would have: the best of all that is installed."""
    return choose_ops(Host(), OpRequest(platform, "test", dtype))[0]


def build_context(
    hf: Mapping[str, Any],
    *,
    max_model_len: int,
    vocab_size: int,
    ops: Ops | None = None,
    attention: AttentionBackend | None = None,
    dtype: torch.dtype = torch.float32,
    architecture: str = "tiny",
) -> BuildContext:
    """What a model is built from, with the reference kernels unless others are given."""
    return BuildContext(
        config=ModelConfig(architecture, hf, dtype, max_model_len, vocab_size),
        device=CPU,
        ops=ops or reference_ops(dtype),
        attention=attention or TorchAttention(),
        quantization=Unquantized(),
    )


def load_model(kind: type[CausalLM], build: BuildContext, loader: WeightLoader) -> CausalLM:
    """A model of class `kind` with the loader's weights."""
    model = kind(build).eval()
    load_weights(model, loader)
    return model


class Driver:
    """Rows by number; the blocks of each row lie scattered over the cache."""

    def __init__(
        self,
        model: CausalLM,
        attention: AttentionBackend | None = None,
        *,
        num_blocks: int = 96,
        block_size: int = 16,
        seed: int = 0,
    ) -> None:
        self._model = model
        self._attention = attention or TorchAttention()
        self._size = block_size
        self._num_blocks = num_blocks
        groups = KVGroups.of(model.kv_specs(), self._attention.strided_blocks)
        model.set_groups(groups.group_of)
        self._specs = groups.specs
        self._caches = groups.allocate(self._attention, num_blocks, block_size, CPU)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(num_blocks - 1, generator=generator) + 1
        self._free: list[int] = order.tolist()
        self._tables: dict[int, list[list[int]]] = {}
        self._lengths: dict[int, int] = {}

    def step(self, tokens: Mapping[int, Sequence[int]]) -> dict[int, Tensor]:
        """Feed each row its next tokens, all in one batch; logits [tokens, V] by row."""
        rows = sorted(tokens, key=lambda row: len(tokens[row]) != 1)
        batch = self._batch(rows, tokens)
        with torch.inference_mode():
            batch.attention = [
                self._attention.plan(batch, group, spec, self._size)
                for group, spec in enumerate(self._specs)
            ]
            logits_TV = self._model.compute_logits(self._model(batch, self._caches))
        parts = logits_TV.split_with_sizes([len(tokens[row]) for row in rows])
        return dict(zip(rows, parts, strict=True))

    def keep(self, row: int, length: int) -> None:
        """Of a row, so many tokens in whole blocks, as a prefix hit finds them; others are gone."""
        self._tables[row] = [table[: length // self._size] for table in self._tables[row]]
        self._lengths[row] = length

    def _batch(self, rows: list[int], tokens: Mapping[int, Sequence[int]]) -> Batch:
        starts = [self._lengths.get(row, 0) for row in rows]
        counts = [len(tokens[row]) for row in rows]
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        positions = [range(start, end) for start, end in zip(starts, ends, strict=True)]
        for row, end in zip(rows, ends, strict=True):
            self._grow(row, end)
        groups = range(len(self._specs))
        return Batch(
            num_tokens=sum(counts),
            num_rows=len(rows),
            num_decodes=counts.count(1),
            num_blocks=self._num_blocks,
            query_lens=counts,
            context_lens=ends,
            rows_R=torch.tensor(rows),
            ids_T=torch.tensor([token for row in rows for token in tokens[row]]),
            positions_T=torch.tensor([place for span in positions for place in span]),
            query_starts_R1=torch.tensor([0, *itertools.accumulate(counts)], dtype=torch.int32),
            contexts_R=torch.tensor(ends, dtype=torch.int32),
            slots_T=[self._slots(rows, positions, group) for group in groups],
            block_tables_RB=[self._block_tables(rows, group) for group in groups],
            logits_N=torch.arange(sum(counts)),
        )

    def _grow(self, row: int, length: int) -> None:
        tables = self._tables.setdefault(row, [[] for _ in self._specs])
        for table in tables:
            while len(table) * self._size < length:
                table.append(self._free.pop())
        self._lengths[row] = length

    def _slots(self, rows: list[int], positions: list[range], group: int) -> Tensor:
        slots = [
            self._tables[row][group][place // self._size] * self._size + place % self._size
            for row, span in zip(rows, positions, strict=True)
            for place in span
        ]
        return torch.tensor(slots)

    def _block_tables(self, rows: list[int], group: int) -> Tensor:
        tables = [self._tables[row][group] for row in rows]
        width = max(len(table) for table in tables)
        padded = [table + [0] * (width - len(table)) for table in tables]
        return torch.tensor(padded, dtype=torch.int32)


def kv_spec(
    kv_heads: int,
    head_dim: int,
    window: int | None = None,
    dtype: torch.dtype = torch.float32,
    value_dim: int | None = None,
) -> KVSpec:
    kind: Literal["full", "window", "latent"] = "full" if window is None else "window"
    return KVSpec(
        kv_heads, head_dim, dtype, kind if value_dim is None else "latent", window, value_dim
    )
