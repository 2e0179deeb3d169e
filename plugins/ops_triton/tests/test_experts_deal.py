"""Tiles of experts: every pair once, in the order of tokens, each tile of one expert."""

from __future__ import annotations

import pytest
import torch

from inferd_ops_triton.kernels import experts_deal


@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize(
    ("tokens", "chosen", "num"), [(1, 1, 4), (3, 2, 2), (40, 6, 64), (70, 3, 5)]
)
def test_every_pair_is_in_one_tile(
    tokens: int, chosen: int, num: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experts_deal, "AT_ONCE", 64)
    shares = torch.rand(tokens, num, generator=torch.Generator().manual_seed(tokens))
    shares[:, 0] += 0.5  # more than one tile of its own
    chosen_TC = shares.argsort(1)[:, -chosen:]
    dealt = experts_deal.deal(chosen_TC, num, rows)
    ids_P, pairs_P = chosen_TC.flatten().sort(stable=True)
    assert dealt.pairs_P.tolist() == pairs_P.tolist()
    ends = torch.bincount(ids_P, minlength=num).cumsum(0).tolist()
    assert dealt.ends_M.tolist() == ends
    expected = [
        (expert, first)
        for expert, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        for first in range(start, end, rows)
    ]
    found = list(zip(dealt.experts_B.tolist(), dealt.firsts_B.tolist(), strict=True))
    assert found[: len(expected)] == expected
    assert {expert for expert, _ in found[len(expected) :]} <= {num}
