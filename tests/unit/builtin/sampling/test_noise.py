"""The noise depends on (seed, sample index, position, token id) alone, and is Gumbel."""

from __future__ import annotations

import math

import pytest
import torch

from inferd.builtin.sampling.noise import Noise
from inferd.sampling.noise import row_key

CPU = torch.device("cpu")
VOCAB = 4096


def keys(noise: Noise, seeds: list[int], positions: list[int], index: int = 0) -> torch.Tensor:
    rows = torch.tensor([row_key(seed, index) for seed in seeds])
    return noise.position_keys(rows, torch.tensor(positions))


@pytest.fixture(scope="module")
def noise() -> Noise:
    return Noise(VOCAB, CPU)


def test_a_rows_noise_does_not_depend_on_its_batch(noise: Noise) -> None:
    alone = noise.gumbel(keys(noise, [7], [30]))
    batch = noise.gumbel(keys(noise, [1, 2, 7, 7], [30, 4, 30, 31]))
    assert torch.equal(batch[2], alone[0])
    assert not torch.equal(batch[3], alone[0])


def test_candidates_get_the_noise_of_their_ids(noise: Noise) -> None:
    pair = keys(noise, [3, 9], [5, 6])
    ids = torch.tensor([[0, 4095, 17], [17, 1, 0]])
    assert torch.equal(noise.gumbel(pair, ids), noise.gumbel(pair).gather(1, ids))


@pytest.mark.parametrize("change", [{"seed": 12}, {"seed": -11}, {"index": 1}, {"position": 101}])
def test_every_part_of_the_counter_matters(noise: Noise, change: dict[str, int]) -> None:
    base = {"seed": 11, "index": 0, "position": 100}

    def draw(seed: int, index: int, position: int) -> torch.Tensor:
        return noise.gumbel(keys(noise, [seed], [position], index))[0].double()

    a, b = draw(**base), draw(**{**base, **change})
    assert torch.equal(a, draw(**base))
    correlation = torch.corrcoef(torch.stack((a, b)))[0, 1].item()
    assert abs(correlation) < 4 / math.sqrt(VOCAB)


def test_seeds_of_64_bits_are_all_used(noise: Noise) -> None:
    seeds = [0, 1, 1 << 32, 1 << 62, -1, -(1 << 63)]
    assert len({row_key(seed, 0) for seed in seeds}) == len(seeds)
    assert all(-(1 << 63) <= row_key(seed, 3) < 1 << 63 for seed in seeds)


def uniforms(noise: Noise, rows: int) -> torch.Tensor:
    gumbel = noise.gumbel(keys(noise, list(range(rows)), list(range(rows)))).double()
    return (-(-gumbel).exp()).exp()


def test_values_are_gumbel(noise: Noise) -> None:
    """Chi-square of 256 equal bins over a million values, at six standard deviations."""
    u = uniforms(noise, 256)
    counts = torch.histc(u, 256, 0.0, 1.0)
    expected = u.numel() / 256
    chi2 = ((counts - expected) ** 2 / expected).sum().item()
    assert abs(chi2 - 255) < 6 * math.sqrt(2 * 255)


def test_the_upper_tail_is_right(noise: Noise) -> None:
    """Large values decide: P(gumbel > g) is about exp(-g)."""
    gumbel = noise.gumbel(keys(noise, list(range(1024)), [0] * 1024))
    for g in (4.0, 8.0, 11.0):
        expected = gumbel.numel() * -math.expm1(-math.exp(-g))
        found = int((gumbel > g).sum())
        assert abs(found - expected) < 6 * math.sqrt(expected), g


@pytest.mark.parametrize("shift", [1, 2, 64, 2048])
def test_neighbours_are_uncorrelated(noise: Noise, shift: int) -> None:
    """Over tokens of a row and over positions of a seed."""
    one_seed = keys(noise, [5] * 256, list(range(256)))
    gumbel = noise.gumbel(one_seed).double()
    gumbel = (gumbel - gumbel.mean()) / gumbel.std()
    over_tokens = (gumbel[:, shift:] * gumbel[:, :-shift]).mean().item()
    assert abs(over_tokens) < 6 / math.sqrt(256 * (VOCAB - shift))
    if shift < 256:
        over_positions = (gumbel[shift:] * gumbel[:-shift]).mean().item()
        assert abs(over_positions) < 6 / math.sqrt((256 - shift) * VOCAB)


def test_every_bit_pattern_gives_a_number_that_can_be_compared(noise: Noise) -> None:
    gumbel = noise.gumbel(keys(noise, list(range(2048)), [1] * 2048))
    assert not gumbel.isnan().any()
    assert not gumbel.isposinf().any()
