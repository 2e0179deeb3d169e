"""Which linears offer act(gate) * up in one kernel, and for which numbers of tokens.

The kernel of many tokens runs on GPUs alone: tests/gpu/test_gated.py. Shape suffixes: T tokens, N =
2 I rows of W, K in features.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inferd.contracts.ops import GatedLinear
from inferd.testing import reference
from inferd.testing.numbers import DTYPES, check_close
from inferd_ops_triton import linear
from inferd_ops_triton.kernels import launch_gated
from inferd_ops_triton.kernels.activation import ACTIVATIONS
from inferd_ops_triton.kernels.chain import ALONE
from inferd_ops_triton.linear import DenseLinear, gated_few, routed
from inferd_ops_triton.tables import GatedTiles, Route


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
    for architecture in ("sm_80", "sm_100", "gfx942"):
        assert offered(weight(), architecture=architecture) == set()
    monkeypatch.setattr(linear, "_launch_gated", lambda: None)
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


GEMV, SKINNY = Route("gemv", 1, 2, 32, 4, 1, 1), Route("skinny", 16, 32, 32, 4, 1, 1)
PARTS = Route("skinny", 32, 16, 32, 4, 1, 2)


def few(
    weight_NK: torch.Tensor, many: dict[str, GatedLinear] | None = None, **routes: Route
) -> dict[str, GatedLinear]:
    """`one`, `some` and `more` are the routes of 1, of 9 to 16 and of 17 to 32 tokens."""
    tokens = {"one": 1, "some": 16, "more": 32}
    chosen = {tokens[name]: route for name, route in routes.items()}
    return gated_few(weight_NK, routed(weight_NK, None, chosen, ALONE), chosen, ALONE, many or {})


def test_few_tokens_suit_kernels_that_have_all_of_k() -> None:
    many = {"silu": GatedLinear(lambda tokens: tokens == 512, lambda x_TK: x_TK)}
    made = few(weight(), many, one=GEMV, some=SKINNY, more=PARTS)
    assert made.keys() == {*ACTIVATIONS}
    suiting = {act: [n for n in range(600) if made[act].suits(n)] for act in made}
    assert suiting["gelu"] == suiting["gelu_tanh"] == [1, *range(9, 17)]
    assert suiting["silu"] == [1, *range(9, 17), 512]
    assert few(weight(), many, more=PARTS, one=replace(GEMV, block_n=1)) == many
    assert few(weight(40), many, some=SKINNY) == many, "turns of gate and up do not divide it"


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_few_tokens_agree_with_the_formula(act: str, dtype: str) -> None:
    """Rows that blocks divide and that they do not, of one token, of some, and of too many."""
    for size, inner in ((96, 64), (80, 40)):
        generator = torch.Generator().manual_seed(size)
        weight_NK = torch.randn(size, inner, generator=generator).mul(inner**-0.5)
        weight_NK = weight_NK.to(DTYPES[dtype])
        made = few(weight_NK, one=GEMV, some=SKINNY)
        wider = few(weight_NK, one=replace(GEMV, block_n=32))
        for tokens, gated in [(1, wider), *((tokens, made) for tokens in (1, 2, 11, 16, 17))]:
            x_TK = torch.randn(tokens, inner + 8, generator=generator).to(DTYPES[dtype])[:, :inner]
            x_T2I = reference.linear(x_TK, weight_NK, None)
            expected = reference.act_and_mul(act, x_T2I)
            check_close(f"{act} of {tokens} tokens", gated[act].multiply(x_TK), expected, dtype)
