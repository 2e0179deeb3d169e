"""The lists that programs take their work from: everything once, and never more than the grid."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import torch

from inferd_attention_triton.kernels.deal import deal_blocks, deal_decodes

TILE, LEAST = 32, 2


@dataclass(frozen=True, slots=True)
class Rows:
    queries: list[int]
    contexts: list[int]

    @property
    def starts_R1(self) -> torch.Tensor:
        return torch.tensor([0, *self.queries], dtype=torch.int32).cumsum(0, dtype=torch.int32)

    @property
    def contexts_R(self) -> torch.Tensor:
        return torch.tensor(self.contexts, dtype=torch.int32)


def decodes(*contexts: int) -> Rows:
    return Rows([1] * len(contexts), list(contexts))


def mixture(seed: int) -> Rows:
    draw = random.Random(seed)
    num, longest = draw.choice([1, 5, 40, 1100]), draw.choice([50, 3000])
    queries = [draw.choice([0, 1, 1, 1, 7, 70]) for _ in range(num)]
    return Rows(queries, [q + draw.randrange(longest) if q else 0 for q in queries])


def parts_of(rows: Rows, extra: int, window: int | None = None) -> tuple[list, list]:
    """(parts, cut rows) as lists of ints."""
    work = deal_decodes(
        rows.starts_R1, rows.contexts_R, len(rows.queries),
        extra=extra, tile=TILE, least=LEAST, window=window,
    )  # fmt: skip
    parts, cuts = work[0, :2].tolist()
    assert parts <= len(rows.queries) + extra
    assert cuts <= extra
    return work[1 + extra :][:parts].tolist(), work[1 : 1 + cuts, :3].tolist()


CASES = [
    decodes(1),
    decodes(0, 0, 5),
    decodes(5000),
    decodes(*[576] * 20),
    decodes(*[64] * 10, 9000, *[70] * 9),
    *map(mixture, range(6)),
]


@pytest.mark.parametrize("window", [None, 1, 100])
@pytest.mark.parametrize("extra", [1, 66])
@pytest.mark.parametrize("rows", CASES, ids=lambda rows: f"{len(rows.queries)} rows")
def test_parts_are_every_key_of_every_decode_once(
    rows: Rows, extra: int, window: int | None
) -> None:
    parts, cuts = parts_of(rows, extra, window)
    starts = rows.starts_R1.tolist()
    expected, slots, cut_rows = [], [], []
    for row, (queries, context) in enumerate(zip(rows.queries, rows.contexts, strict=True)):
        if queries != 1:
            continue
        own = [part for part in parts if part[1] == row]
        edges = [own[0][2], *[part[3] for part in own]]
        assert edges == sorted(edges)
        assert [part[2] for part in own[1:]] == edges[1:-1]
        assert (edges[0], edges[-1]) == (max(0, context - window) if window else 0, context)
        assert {(part[0], part[5]) for part in own} == {(starts[row], context - 1)}
        expected += own
        slots += [part[4] for part in own if len(own) > 1]
        if len(own) > 1:
            cut_rows.append([starts[row], own[0][4], len(own)])
        else:
            assert own[0][4] == -1
    assert parts == expected
    assert cuts == cut_rows
    assert slots == list(range(len(slots)))
    assert len(slots) <= 2 * extra


def test_no_part_is_longer_than_its_share() -> None:
    """One long row among short ones is cut until its parts resemble theirs."""
    extra = 64
    parts, _ = parts_of(decodes(32768, *[512] * 63), extra)
    tiles = (32768 + 63 * 512) // TILE
    assert max(part[3] - part[2] for part in parts) <= -(-tiles // extra) * TILE


def test_equal_rows_that_fill_the_device_stay_whole() -> None:
    parts, cuts = parts_of(decodes(*[2048] * 66), extra=66)
    assert len(parts) == 66
    assert not cuts


@pytest.mark.parametrize("block_q", [5, 32])
@pytest.mark.parametrize("rows", CASES, ids=lambda rows: f"{len(rows.queries)} rows")
def test_blocks_are_every_query_of_every_prefill_once(rows: Rows, block_q: int) -> None:
    num = len(rows.queries)
    most = sum(rows.queries) // block_q + num
    dealt = deal_blocks(rows.starts_R1, rows.contexts_R, num, num // 2, most, block_q)
    found = [
        (row, token + i, position + i)
        for token, row, count, position, *_ in dealt[1 : 1 + int(dealt[0, 0])].tolist()
        for i in range(count)
    ]
    starts = rows.starts_R1.tolist()
    assert found == [
        (row, starts[row] + i, context - queries + i)
        for row, (queries, context) in enumerate(zip(rows.queries, rows.contexts, strict=True))
        for i in range(queries)
        if queries > 1 or row >= num // 2
    ]
