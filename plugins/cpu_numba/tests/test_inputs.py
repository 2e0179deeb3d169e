"""What a step begins with."""

from __future__ import annotations

import torch

from inferd.contracts.ops import OpRequest
from inferd_cpu_numba.ops import NumbaOps


def test_tables_are_padded_with_zero(monkeypatch):
    """torch's attention gathers what stands past a row's context, too."""
    prepare = NumbaOps().ops(OpRequest("cpu", "any", torch.float32))["prepare_inputs"]
    step_3X = torch.tensor([[0, 1, 0], [4, 32, 0], [0, 1, 2]])
    history_XL = torch.zeros(2, 64, dtype=torch.int32)
    table_XB = torch.arange(1, 9, dtype=torch.int32).view(2, 4)

    def stale(size, dtype):
        return torch.full(size if isinstance(size, tuple) else (size,), -7, dtype=dtype)

    monkeypatch.setattr(torch, "empty", stale)
    found = prepare(step_3X, history_XL, [table_XB], 16, 2, 3)
    assert found.block_tables_RB[0].tolist() == [[1, 0, 0], [5, 6, 7]]
