"""top_k, top_p and min_p against transformers and a sorted float64 reference."""

from __future__ import annotations

import pytest
import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from inferd.builtin.sampling.draw import draw_among
from inferd.builtin.sampling.filters import candidates, first_window
from inferd.builtin.sampling.noise import Noise
from inferd.contracts.sampling_ops import FilterParams

VOCAB = 512


def logits(rows: int, spread: float = 3.0, seed: int = 0, vocab: int = VOCAB) -> torch.Tensor:
    return torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed)) * spread


def params(
    rows: int,
    temperature: float = 1.0,
    top_k: int | list[int] = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> FilterParams:
    ks = top_k if isinstance(top_k, list) else [top_k] * rows
    return FilterParams(
        torch.full((rows,), temperature),
        torch.tensor(ks),
        torch.full((rows,), top_p),
        torch.full((rows,), min_p),
        most_k=max(ks),
        unbounded=0 in ks,
    )


def kept(x: torch.Tensor, p: FilterParams, window: int | None = None) -> list[set[int]]:
    """Ids that survive, over a window that is wide enough unless one is given."""
    scores, ids, complete = candidates(x, p, window or x.shape[1])
    assert complete.all()
    return [
        {int(i) for i, s in zip(row, score, strict=True) if s > -torch.inf}
        for row, score in zip(ids, scores, strict=True)
    ]


def survivors(x: torch.Tensor) -> list[set[int]]:
    return [set(row.isfinite().nonzero()[:, 0].tolist()) for row in x]


@pytest.mark.parametrize("k", [1, 2, 50, VOCAB, VOCAB + 9])
def test_top_k_is_transformers(k: int) -> None:
    x = logits(6)
    expected = survivors(TopKLogitsWarper(k)(None, x.clone()))
    assert kept(x, params(6, top_k=k)) == expected


def test_ties_with_the_kth_stay_as_in_transformers() -> None:
    x = torch.zeros(1, VOCAB)
    x[0, :3] = 5.0
    x[0, 3:8] = 2.0
    assert kept(x, params(1, top_k=5), window=64) == [set(range(8))]
    assert survivors(TopKLogitsWarper(5)(None, x.clone())) == [set(range(8))]


@pytest.mark.parametrize("top_p", [1e-6, 0.1, 0.5, 0.9, 0.99])
def test_top_p_is_transformers(top_p: float) -> None:
    x = logits(6)
    expected = survivors(TopPLogitsWarper(top_p)(None, x.double()))
    assert kept(x, params(6, top_p=top_p)) == expected


@pytest.mark.parametrize("min_p", [1e-3, 0.05, 0.5, 1.0])
def test_min_p_is_transformers(min_p: float) -> None:
    x = logits(6)
    expected = survivors(MinPLogitsWarper(min_p)(None, x.double()))
    assert kept(x, params(6, min_p=min_p)) == expected


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_together_they_follow_vllms_order(temperature: float) -> None:
    """Temperature, min_p, top_k, then top_p over what is left, renormalised."""
    x = logits(8, seed=3)
    reference = x.double() / temperature
    reference = MinPLogitsWarper(0.02)(None, reference)
    reference = TopKLogitsWarper(40)(None, reference)
    reference = TopPLogitsWarper(0.8)(None, reference)
    p = params(8, temperature, top_k=40, top_p=0.8, min_p=0.02)
    assert kept(x, p, window=64) == survivors(reference)


def test_rows_keep_their_own_filters() -> None:
    x = logits(4, seed=5)
    p = FilterParams(
        torch.tensor([1.0, 0.5, 1.0, 2.0]),
        torch.tensor([3, 0, 0, 7]),
        torch.tensor([1.0, 0.7, 1.0, 0.9]),
        torch.tensor([0.0, 0.0, 0.3, 0.0]),
        most_k=7,
        unbounded=True,
    )
    together = kept(x, p)
    alone = [kept(x[i : i + 1], p.take(torch.tensor([i])))[0] for i in range(4)]
    assert together == alone
    assert next(len(s) for s in together) == 3


def test_an_incomplete_window_says_so() -> None:
    flat = logits(2, spread=0.1)
    flat[0, 9] = 30.0  # all the mass
    _, _, complete = candidates(flat, params(2, top_p=0.9), 64)
    assert complete.tolist() == [True, False]
    _, _, complete = candidates(flat, params(2, min_p=0.3), 64)
    assert complete.tolist() == [True, False]


@pytest.mark.parametrize("options", [{"top_p": 0.95}, {"min_p": 0.3}, {"top_k": 300}])
def test_a_window_too_small_widens_until_the_draw_is_the_full_ones(
    options: dict[str, float],
) -> None:
    """Flat logits, so that far more than the first window survives."""
    vocab, rows = 5000, 5
    x = logits(rows, spread=0.3, seed=8, vocab=vocab)
    noise = Noise(vocab, torch.device("cpu"))
    keys = noise.position_keys(torch.arange(rows), torch.arange(rows))
    p = params(rows, **options)  # type: ignore[arg-type]
    assert first_window(p, x) < vocab
    full = draw_among(x, p, keys, noise, window=vocab)
    assert torch.equal(draw_among(x, p, keys, noise), full)
