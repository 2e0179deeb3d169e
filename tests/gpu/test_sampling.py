"""Sampling on a GPU at real sizes: the tokens of the reference on a CPU.

tests/gpu/test_ops.py holds the ops to float64 over small vocabularies.

Shape suffixes: N rows, V vocabulary.
"""

from __future__ import annotations

import pytest
import torch
from drawn import CUDA, FILTERS, keys, logits, params
from hardware import PLATFORM
from torch import Tensor

from inferd.contracts.sampling_ops import FilterParams
from inferd.testing.drive import installed_ops, reference_ops

pytestmark = pytest.mark.gpu

REFERENCE = reference_ops(torch.bfloat16)
CHI_SQUARE_FAR = 6  # standard deviations


@pytest.fixture(scope="module")
def ops():
    return installed_ops(PLATFORM, torch.bfloat16)


def on_cpu(p: FilterParams) -> FilterParams:
    columns = (p.temperature_N, p.top_k_N, p.top_p_N, p.min_p_N)
    return FilterParams(*(column.cpu() for column in columns), p.most_k, p.unbounded)


@pytest.mark.parametrize("rows", [1, 5, 64, 257])
def test_greedy_is_argmax(ops, rows: int) -> None:
    x_NV = logits(rows)
    best_N, ids_N = ops.argmax(x_NV)
    expected_N = x_NV.float().cpu().numpy().argmax(-1)
    assert ids_N.tolist() == expected_N.tolist()
    assert torch.equal(best_N, x_NV.amax(-1).float())


@pytest.mark.parametrize("spread", [0.02, 3.0])
@pytest.mark.parametrize("rows", [1, 9, 64])
def test_draws_are_the_references(ops, rows: int, spread: float) -> None:
    x_NV, (keys_N, positions_N) = logits(rows, spread), keys(rows)
    temperature_N = torch.linspace(0.4, 1.6, rows, device=CUDA)
    _, ids_N = ops.draw(x_NV, temperature_N, keys_N, positions_N)
    cpu = (x.cpu() for x in (x_NV, temperature_N, keys_N, positions_N))
    assert ids_N.tolist() == REFERENCE.draw(*cpu)[1].tolist()


@pytest.mark.parametrize("spread", [0.02, 3.0])
@pytest.mark.parametrize("name", FILTERS)
def test_filtered_draws_are_the_references(ops, name: str, spread: float) -> None:
    """Over nearly flat logits too: there the few largest ones do not decide."""
    rows = 33
    x_NV, (keys_N, positions_N) = logits(rows, spread), keys(rows)
    p = params(rows, *FILTERS[name])
    best_N, ids_N = ops.draw_filtered(x_NV, p, keys_N, positions_N)
    args = (x_NV.cpu(), on_cpu(p), keys_N.cpu(), positions_N.cpu())
    _, expected_N = REFERENCE.draw_filtered(*args)
    off = int((ids_N.cpu() != expected_N).sum())
    assert off <= 1, f"{off} of {rows}; one may lie where top_p ends, within rounding"
    assert torch.equal(best_N, x_NV.amax(-1).float())


@pytest.mark.parametrize("name", FILTERS)
def test_a_rows_draw_is_its_own(ops, name: str) -> None:
    rows = 40
    x_NV, (keys_N, positions_N) = logits(rows), keys(rows)
    p = params(rows, *FILTERS[name])
    _, ids_N = ops.draw_filtered(x_NV, p, keys_N, positions_N)
    for chosen in (torch.arange(39, -1, -1), torch.tensor([7]), torch.tensor([3, 30, 12])):
        some = chosen.to(CUDA)
        _, again = ops.draw_filtered(x_NV[some], p.take(some), keys_N[some], positions_N[some])
        assert torch.equal(again, ids_N[some])


@pytest.mark.parametrize("filtered", [(1.0, 0, 1.0, 0.0), (0.9, 40, 1.0, 0.0), (1.1, 0, 0.8, 0.0)])
def test_frequencies_are_the_softmaxs(ops, filtered: tuple[float, int, float, float]) -> None:
    rows, vocab = 50_000, 512
    row_V = logits(1, 2.0, vocab=vocab)
    x_NV = row_V.expand(rows, vocab).contiguous()
    keys_N, positions_N = keys(rows, seed=3)
    _, ids_N = ops.draw_filtered(x_NV, params(rows, filtered), keys_N, positions_N)
    expected_V = probabilities(row_V[0].double(), *filtered[:3]) * rows
    counts_V = torch.bincount(ids_N, minlength=vocab).double()
    assert counts_V[expected_V == 0].sum() == 0
    often_V = expected_V > 20
    chi = ((counts_V - expected_V)[often_V] ** 2 / expected_V[often_V]).sum().item()
    freedom = int(often_V.sum())
    assert abs(chi - freedom) < CHI_SQUARE_FAR * (2 * freedom) ** 0.5


def probabilities(x_V: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    order = torch.sort(x_V, descending=True, stable=True)
    mass = (order.values / temperature).softmax(-1)
    if top_k:
        mass = mass.where(order.values >= order.values[top_k - 1], 0.0)
    mass = mass / mass.sum()
    mass = mass.where(mass.cumsum(-1) - mass < top_p, 0.0)
    return torch.zeros_like(mass).scatter(0, order.indices, mass / mass.sum())


@pytest.mark.parametrize("most", [0, 5, 20])
def test_logprobs_are_the_references(ops, most: int) -> None:
    x_NV = logits(17)
    chosen_N = torch.arange(17, device=CUDA) * 5000
    found = [x.cpu() for x in ops.top_logprobs(x_NV, chosen_N, most)]
    expected = REFERENCE.top_logprobs(x_NV.cpu(), chosen_N.cpu(), most)
    assert torch.allclose(found[1], expected[1], atol=1e-4)
    assert torch.equal(found[2], expected[2])
    at_NC = x_NV.cpu().float().gather(1, found[0])
    assert torch.equal(at_NC, x_NV.cpu().float().gather(1, expected[0]))
