"""Two-stage argmax and cache-sized chunks."""

from __future__ import annotations

import pytest
import torch

from inferd.builtin.sampling.rows import CHUNK, argmax, chunks


@pytest.mark.parametrize("size", [128, 1280, 1000, 1])
def test_argmax_is_torchs(size: int) -> None:
    x = torch.randn(9, size, generator=torch.Generator().manual_seed(size))
    values, ids = argmax(x)
    assert torch.equal(ids, x.argmax(-1))
    assert torch.equal(values, x.amax(-1))


def test_the_lowest_id_wins_among_equals() -> None:
    x = torch.zeros(1, 512)
    x[0, [70, 200, 201]] = 1.0
    assert argmax(x)[1].tolist() == [70]


def test_nan_wins_so_that_it_is_noticed() -> None:
    x = torch.zeros(2, 256)
    x[1, 130] = torch.nan
    values, ids = argmax(x)
    assert values[1].isnan()
    assert ids.tolist() == [0, 130]


@pytest.mark.parametrize(("rows", "size"), [(1, 10), (7, 50_000), (64, CHUNK * 2), (5, CHUNK // 2)])
def test_chunks_cover_every_row_once(rows: int, size: int) -> None:
    x = torch.empty(rows, size, device="cpu")
    seen = [i for s in chunks(x) for i in range(s.start, s.stop)]
    assert seen == list(range(rows))
