"""Few-row linears: which kernel takes which number of tokens, and what the kernels compute.

Shape suffixes: M tokens, N out features, K in features.
"""

from __future__ import annotations

import pytest
import torch

from inferd.testing import reference
from inferd.testing.numbers import DTYPES, check_close
from inferd_ops_triton.kernels.chain import ALONE, CHAINED, LATE, WAYS
from inferd_ops_triton.kernels.packed_warps_shares import add_shares_kernel
from inferd_ops_triton.linear import routed
from inferd_ops_triton.small import sized, small_ops
from inferd_ops_triton.tables import (
    BUCKETS,
    LIBRARY,
    PackedRoute,
    Route,
    by_tokens,
    packed_route,
    packed_routes,
    routes,
    table,
)
from inferd_ops_triton.tables_gluon import WarpsRoute

GEMV = Route("gemv", 1, 4, 32, 4, 1, 1)
SKINNY = Route("skinny", 16, 16, 32, 4, 1, 1)
ARCHITECTURES = ("sm_90", "sm_100", "gfx942", "interpreted")


def test_a_number_of_tokens_takes_the_route_of_the_next_bucket():
    plans = by_tokens({1: GEMV, 16: SKINNY})
    taken = {tokens: plans[tokens] for tokens in (0, 1, 2, 8, 9, 16, 17, 32, 64, 128)}
    assert taken == {0: None, 1: GEMV, 2: None, 8: None, 9: SKINNY, 16: SKINNY} | dict.fromkeys(
        (17, 32, 64, 128)
    )
    assert len(plans) == BUCKETS[-1] + 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shipped_rows_are_complete(architecture):
    rows = table(architecture)
    for shape in (rows["default"], *rows["linear"].values()):
        for tokens, row in shape.items():
            assert int(tokens) in BUCKETS
            if row != [LIBRARY]:
                route = Route(*row)
                assert route.block_m >= int(tokens)
                assert (route.kernel == "gemv") == (tokens == "1")
                assert all(
                    n > 0 and n & (n - 1) == 0
                    for n in (route.block_m, route.block_n, route.block_k, route.warps)
                )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shipped_rows_of_packed_weights_are_complete(architecture):
    rows = packed_routes(architecture)
    assert [row.most for row in rows] == sorted({row.most for row in rows})
    for row in rows:
        assert all(n & (n - 1) == 0 for n in (row.block_m, row.block_n, row.warps))
        assert packed_route(architecture, row.most) == row
    assert packed_route(architecture, rows[-1].most + 1) is None


def test_inputs_are_cut_until_there_is_work_for_all():
    route = PackedRoute(16, 16, 64, 4, 4, 528)
    sizes = ((4096, 4096), (28672, 4096), (4096, 14336), (576, 576))
    assert [route.parts(*size) for size in sizes] == [16, 2, 16, 2]


@pytest.mark.parametrize(
    "size", [(6144, 4096), (4096, 14336), (28672, 4096), (72, 128), (1000, 1408)]
)
@pytest.mark.parametrize("programs", [1, 7, 132, 264, 10_000])
def test_steps_are_shared_evenly(size, programs):
    """No more programs than asked for, all steps, and no block of more than it says."""
    route = WarpsRoute(2, 8, 8, 64, 2, 2, 3, programs, 2)
    per_block, share, started, most = route.shares(*size)
    blocks = -(-size[0] // route.rows)
    assert per_block * route.warps_k * 128 >= size[1] > (per_block - 1) * route.warps_k * 128
    assert started <= programs
    assert (started - 1) * share < blocks * per_block <= started * share
    ends = [
        (block * per_block // share, ((block + 1) * per_block - 1) // share)
        for block in range(blocks)
    ]
    assert max(last - first + 1 for first, last in ends) <= most


@pytest.mark.parametrize("share", [1, 3, 5, 8, 14])
def test_shares_of_a_block_are_added(share):
    """Blocks of one program are left alone."""
    per_block, rows, size, tokens = 8, 128, 300, 5
    firsts = [block * per_block // share for block in range(3)]
    parts = [((block + 1) * per_block - 1) // share + 1 - firsts[block] for block in range(3)]
    generator = torch.Generator().manual_seed(share)
    parts_PMN = torch.randn(max(parts), tokens, size, generator=generator)
    bias_N, out_MN = torch.randn(size, generator=generator), torch.full((tokens, size), 7.0)
    args = parts_PMN, bias_N, out_MN, tokens, size, share, per_block, rows, 4, max(parts)
    add_shares_kernel[(3, 2)](*args, CHAINED=0)
    expected_MN = torch.full((tokens, size), 7.0)
    for block, count in enumerate(parts):
        at = slice(block * rows, (block + 1) * rows)
        if count > 1:
            expected_MN[:, at] = parts_PMN[:count, :, at].sum(0) + bias_N[at]
    check_close("shares", out_MN, expected_MN, "float32")


def test_float32_is_left_to_the_library_on_gpus():
    """Its products would be rounded to tf32, or be slow."""
    assert routes("sm_90", 4096, 4096, 2)
    assert not routes("sm_90", 4096, 4096, 4)


def test_small_and_unknown_weights_take_the_library_where_nothing_was_measured():
    assert not routes("sm_90", 64, 64, 2)
    assert not routes("sm_100", 4096, 4096, 2)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "route",
    [
        GEMV,
        Route("gemv", 1, 16, 128, 4, 1, 1),
        SKINNY,
        Route("skinny", 32, 64, 32, 4, 1, 2),
        Route("skinny", 16, 32, 64, 4, 1, 4),
        Route("skinny", 128, 32, 64, 4, 1, 2),
    ],
    ids=lambda r: f"{r.kernel}-{r.block_m}x{r.block_n}x{r.block_k}-{r.parts}",
)
def test_kernels_agree_with_the_formula(route, dtype, bias):
    """K that tiles divide, that they do not, and so small that a part has nothing to add."""
    tokens = {"gemv": 1, "skinny": route.block_m - 3}[route.kernel]
    bucket = route.block_m
    for size, inner in ((70, 256), (33, 200), (64, 40)):
        generator = torch.Generator().manual_seed(inner)
        draw = [
            torch.randn(*shape, generator=generator).to(DTYPES[dtype])
            for shape in ((size, inner), (tokens, inner + 8), (size,))
        ]
        weight_NK, x_MK, bias_N = draw[0], draw[1][:, :inner], draw[2] if bias else None
        found = routed(weight_NK, bias_N, {bucket: route}, ALONE)(x_MK)
        check_close(route, found, reference.linear(x_MK, weight_NK, bias_N), dtype)


def test_small_ops_are_started_as_the_table_says_of_their_size():
    seen = []
    op = sized(lambda x, chain: seen.append((x.shape[0], chain)), [(16, "early"), (64, "late")])
    for tokens in (1, 16, 17, 64, 65):
        op(torch.empty(tokens, 2))
    ways = (CHAINED, CHAINED, LATE, LATE, ALONE)
    assert seen == list(zip((1, 16, 17, 64, 65), ways, strict=True))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shipped_ways_name_ops_and_rise(architecture):
    for name, rows in table(architecture)["small"].items():
        assert name in small_ops({})
        assert rows == sorted(rows)
        assert {way for _, way in rows} <= set(WAYS)
