"""SmolLM2's greedy tokens are transformers': each single deviation of bench/parity.py, in small."""

from __future__ import annotations

import pytest
from bench.parity import BASE, SINGLE_DEVIATIONS, Cell, load_expected, run_cell

from inferd.loading.sources import resolve

PROMPTS, TOKENS = 8, 32


@pytest.mark.parametrize("cell", [BASE, *SINGLE_DEVIATIONS], ids=lambda cell: cell.name)
def test_tokens_are_transformers(cell: Cell) -> None:
    model = resolve("smollm2")
    outcome = run_cell(cell, model, load_expected(model, PROMPTS, TOKENS))
    assert outcome.num_prompts == PROMPTS
    assert not outcome.problems
