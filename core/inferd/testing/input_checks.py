"""The check of prepare_inputs for OpsContract: against the plain reading of a request table.

Shape suffixes: T tokens of the step, R rows of the step, L tokens of history, X rows of the request
table, B blocks of a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

BLOCK = 4
STEPS: dict[str, list[tuple[int, int, int]]] = {  # row, first position, tokens
    "one row": [(2, 9, 1)],
    "decodes": [(4, 0, 1), (0, 17, 1), (3, 30, 1)],
    "a prompt": [(1, 0, 13)],
    "decodes and chunks": [(4, 21, 1), (0, 3, 1), (2, 8, 140), (1, 0, 7)],
    "padded": [(3, 5, 1), (1, 4, 6), (5, 0, 9), (5, 0, 0), (5, 0, 0)],
}


def prepare_inputs(ops: Mapping[str, Any], dtype: str, device: torch.device) -> None:  # noqa: ARG001
    """Rows of any length in any order, rows without tokens, one KV group and two."""
    generator = torch.Generator().manual_seed(0)
    history_XL = torch.randint(0, 1000, (6, 160), generator=generator, dtype=torch.int32)
    tables_XB = [
        torch.randint(1, 500, (6, 40), generator=generator, dtype=torch.int32) for _ in range(2)
    ]
    for (name, step), groups in itertools.product(STEPS.items(), (1, 2)):
        _check(f"{name}, {groups} groups", ops, step, history_XL, tables_XB[:groups], device)


def _check(
    what: str,
    ops: Mapping[str, Any],
    step: Sequence[tuple[int, int, int]],
    history_XL: Tensor,
    tables_XB: Sequence[Tensor],
    device: torch.device,
) -> None:
    rows, starts, counts = (list(each) for each in zip(*step, strict=True))
    query_starts = [0, *itertools.accumulate(counts)]
    step_3X = torch.tensor([[*rows, 0], [*starts, 0], query_starts], device=device)
    contexts = [start + count for start, count in zip(starts, counts, strict=True)]
    width = -(-max(contexts) // BLOCK)
    found = ops["prepare_inputs"](
        step_3X,
        history_XL.to(device),
        [table_XB.to(device) for table_XB in tables_XB],
        BLOCK,
        sum(counts),
        width,
    )
    tokens = [(row, start + i) for row, start, count in step for i in range(count)]
    _equal(f"ids: {what}", found.ids_T, [int(history_XL[r, p]) for r, p in tokens])
    _equal(f"positions: {what}", found.positions_T, [p for _, p in tokens])
    _equal(f"query starts: {what}", found.query_starts_R1, query_starts)
    _equal(f"contexts: {what}", found.contexts_R, contexts)
    for group, table_XB in enumerate(tables_XB):
        slots = [int(table_XB[r, p // BLOCK]) * BLOCK + p % BLOCK for r, p in tokens]
        _equal(f"slots of group {group}: {what}", found.slots_T[group], slots)
        for place, (row, context) in enumerate(zip(rows, contexts, strict=True)):
            pages = -(-context // BLOCK)
            mine = found.block_tables_RB[group][place, :pages]
            _equal(f"blocks of row {place}: {what}", mine, table_XB[row, :pages].tolist())


def _equal(what: str, found: Tensor, expected: list[int]) -> None:
    assert found.tolist() == expected, f"{what}: {found.tolist()}, expected {expected}"
