"""Draws pass over most tokens without computing their noise; none of them would have won."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inferd.testing.sampling_reference import noise
from inferd_cpu_numba.runtime import Compiler
from inferd_cpu_numba.sampling import Draw

ROWS, SIZE = 24, 1003


@pytest.fixture(scope="module")
def draw() -> Draw:
    return Draw(Compiler(), 16)


@pytest.mark.parametrize("temperature", [1e-3, 0.2, 1.0, 30.0])
@pytest.mark.parametrize("spread", [0.0, 0.05, 2.0, 500.0])
def test_nothing_beats_what_is_drawn(draw: Draw, temperature: float, spread: float) -> None:
    generator = torch.Generator().manual_seed(3)
    logits_NV = (torch.randn(ROWS, SIZE, generator=generator) * spread - spread).bfloat16()
    logits_NV[:, ::5] = -torch.inf
    keys_N = torch.randint(-(2**62), 2**62, (ROWS,), generator=generator)
    positions_N = torch.arange(ROWS) * 7
    temperature_N = torch.full((2 * ROWS,), temperature)[::2]
    best_N, ids_N = draw(logits_NV, temperature_N, keys_N, positions_N)
    assert torch.equal(best_N, logits_NV.float().amax(-1))
    for row, (key, position) in enumerate(zip(keys_N, positions_N, strict=True)):
        scores_V = logits_NV[row].double().numpy() / temperature
        scores_V += noise(int(key), int(position), SIZE)
        behind = scores_V.max() - scores_V[ids_N[row]]
        assert behind <= 1e-6 * max(1.0, np.abs(scores_V.max())), (row, behind)
