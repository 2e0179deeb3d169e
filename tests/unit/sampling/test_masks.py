"""Masks of grammars, on logits: every bit counts, for the rows that have one and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inferd.builtin.sampling import SAMPLING_OPS
from inferd.sampling.masks import TokenMasks
from inferd.types import StepMasks

CPU = torch.device("cpu")


def applied(masks: TokenMasks, logits: torch.Tensor, rows: list[int]) -> torch.Tensor:
    changed = logits.clone()
    if (found := masks.of(np.array(rows))) is not None:
        SAMPLING_OPS["mask"](changed, *found)
    return changed


def masks_of(rows: list[int], allowed: list[set[int]], vocab: int) -> StepMasks:
    words = np.zeros((len(rows), -(-vocab // 32)), dtype=np.uint32)
    for line, tokens in zip(words, allowed, strict=True):
        for token in tokens:
            line[token // 32] |= np.uint32(1 << token % 32)
    return StepMasks(rows, words.data.cast("B"))


@pytest.mark.parametrize("vocab", [1, 31, 32, 33, 100, 258])
def test_only_what_is_allowed_is_left(vocab: int) -> None:
    masks, generator = TokenMasks(CPU), np.random.default_rng(vocab)
    allowed = [{int(t) for t in generator.choice(vocab, size=-(-vocab // 3))} for _ in range(3)]
    masks.put(masks_of([5, 0, 2], allowed, vocab))
    logits = torch.randn(3, vocab)
    changed = applied(masks, logits, [0, 2, 5])
    for place, tokens in enumerate([allowed[1], allowed[2], allowed[0]]):
        left = torch.isfinite(changed[place]).nonzero().flatten().tolist()
        assert set(left) == tokens
        assert changed[place, left].tolist() == logits[place, left].tolist()


def test_rows_without_a_mask_stay_as_they_are() -> None:
    masks = TokenMasks(CPU)
    masks.put(masks_of([7], [{3}], 40))
    logits = torch.randn(3, 40)
    changed = applied(masks, logits, [1, 7, 2])
    assert torch.equal(changed[[0, 2]], logits[[0, 2]])
    assert torch.isfinite(changed[1]).nonzero().flatten().tolist() == [3]


def test_the_masks_of_a_step_are_gone_with_the_next() -> None:
    masks, logits = TokenMasks(CPU), torch.randn(1, 40)
    masks.put(masks_of([7], [{3}], 40))
    masks.put(None)
    assert torch.equal(applied(masks, logits, [7]), logits)
