"""Which linears offer act(gate) * up in one kernel, and for which numbers of tokens.

The kernel itself runs on GPUs alone: tests/gpu/test_gated.py. Shape suffixes: N = 2 I rows of W, K
in features.
"""

from __future__ import annotations

import pytest
import torch

from inferd_ops_triton import linear
from inferd_ops_triton.kernels import launch_gated
from inferd_ops_triton.kernels.chain import ALONE
from inferd_ops_triton.linear import DenseLinear
from inferd_ops_triton.tables import GatedTiles


def weight(size: int = 48, inner: int = 24, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.zeros(size, inner, dtype=dtype)


def offered(
    weight_NK: torch.Tensor, bias_N: torch.Tensor | None = None, architecture: str = "sm_90"
) -> set[str]:
    return {*DenseLinear(weight_NK, bias_N, architecture=architecture, chain=ALONE).gated}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dense_linears_of_16_bits_offer_both_activations(dtype: torch.dtype) -> None:
    assert offered(weight(dtype=dtype)) == {"silu", "gelu_tanh"}


@pytest.mark.parametrize(
    "weight_NK",
    [
        weight(dtype=torch.float32),
        weight(inner=20),
        weight(size=40),  # rows of the result are no multiples of 16 bytes
        weight(24, 48).T,
        torch.zeros(48 * 24 + 1, dtype=torch.bfloat16)[1:].view(48, 24),
    ],
    ids=["float32", "K", "N", "transposed", "unaligned"],
)
def test_what_tiles_cannot_be_fetched_of_offers_none(weight_NK: torch.Tensor) -> None:
    assert not launch_gated.takes(weight_NK)
    assert offered(weight_NK) == set()


def test_a_bias_another_gpu_and_another_triton_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered(weight(), torch.zeros(48, dtype=torch.bfloat16)) == set()
    for architecture in ("sm_80", "sm_100", "gfx942", "interpreted"):
        assert offered(weight(), architecture=architecture) == set()
    monkeypatch.setattr(linear, "_gated", lambda: None)
    assert offered(weight()) == set()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, False),
        (896, False),  # 784 tiles are 99 % of 6 rounds, but the library is as fast
        (1024, True),  # 896 tiles in 7 rounds of 132: 97 %
        (1025, False),  # a block of one token more: 85 % of 8 rounds
        (1152, True),
        (8192, True),
    ],
)
def test_it_suits_what_fills_rounds_of_tiles(
    tokens: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_gated, "_multiprocessors", lambda _: 132)
    weight_NK = torch.empty(28672, 8, dtype=torch.bfloat16)
    assert launch_gated.suits(weight_NK, GatedTiles(1000, 8, 3), tokens) is expected


def test_rests_of_tiles_are_places_that_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two multiprocessors: 200 columns are two tiles of 128, 78 % of a round."""
    monkeypatch.setattr(launch_gated, "_multiprocessors", lambda _: 2)
    tiles = GatedTiles(1, 8, 3)
    found = [launch_gated.suits(weight(2 * n), tiles, 128) for n in (200, 224, 232, 256, 264)]
    assert found == [False, False, True, True, False]
