"""Penalties against transformers (repetition) and counts in float64 (presence, frequency)."""

from __future__ import annotations

import torch
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from inferd.sampling.penalties import PenaltyParams, apply_penalties

VOCAB = 40
LENGTHS = [(3, 0), (5, 9), (1, 30), (12, 1)]  # prompt, output


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(4)
    ends = torch.tensor([a + b for a, b in LENGTHS])
    history = torch.randint(0, VOCAB, (len(LENGTHS), int(ends.max())), generator=g)
    for row, end in enumerate(ends):
        history[row, end:] = 7  # of an earlier tenant: must not count
    logits = torch.randn(len(LENGTHS), VOCAB, generator=g)
    prompts = torch.tensor([a for a, _ in LENGTHS])
    return logits, history.to(torch.int32), prompts, ends


def apply(repetition: float, presence: float, frequency: float) -> torch.Tensor:
    logits, history, prompts, ends = case()
    full = torch.ones(len(LENGTHS))
    params = PenaltyParams(full * repetition, full * presence, full * frequency, prompts, ends)
    apply_penalties(logits, history, params)
    return logits


def test_repetition_is_transformers() -> None:
    logits, history, _, ends = case()
    found = apply(1.7, 0.0, 0.0)
    processor = RepetitionPenaltyLogitsProcessor(1.7)
    for row, end in enumerate(ends):
        ids = history[row : row + 1, :end].long()
        expected = processor(ids, logits[row : row + 1].clone())
        torch.testing.assert_close(found[row : row + 1], expected, rtol=0, atol=0)


def test_presence_and_frequency_count_the_output() -> None:
    logits, history, prompts, ends = case()
    found = apply(1.0, 0.8, -0.35)
    for row in range(len(LENGTHS)):
        output = history[row, prompts[row] : ends[row]].long()
        counts = torch.bincount(output, minlength=VOCAB).double()
        expected = logits[row].double() + 0.35 * counts - 0.8 * (counts > 0)
        torch.testing.assert_close(found[row].double(), expected, rtol=0, atol=1e-5)


def test_all_together_are_applied_in_vllms_order() -> None:
    """Repetition scales first, then frequency and presence are subtracted."""
    logits, history, prompts, ends = case()
    found = apply(1.3, 0.5, 0.25)
    processor = RepetitionPenaltyLogitsProcessor(1.3)
    for row in range(len(LENGTHS)):
        ids = history[row : row + 1, : ends[row]].long()
        base = processor(ids, logits[row : row + 1].double().clone())[0]
        counts = torch.bincount(ids[0, prompts[row] :], minlength=VOCAB).double()
        expected = base - 0.25 * counts - 0.5 * (counts > 0)
        torch.testing.assert_close(found[row].double(), expected, rtol=0, atol=1e-5)


def test_neutral_values_change_nothing() -> None:
    assert torch.equal(apply(1.0, 0.0, 0.0), case()[0])
