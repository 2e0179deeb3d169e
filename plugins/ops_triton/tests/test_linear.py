"""Few-row linears: which kernel takes which number of tokens, and what the kernels compute.

Shape suffixes: M tokens, N out features, K in features.
"""

from __future__ import annotations

import pytest
import torch

from inferd.testing import reference
from inferd.testing.numbers import DTYPES, check_close
from inferd_ops_triton.kernels.chain import ALONE, CHAINED, LATE, WAYS
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
