"""What a warpgroup of hopper.py does with tiles: scores, their weights, sums of weighted values.

Shape suffixes as in hopper.py.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from inferd_attention_triton.kernels.tile import HIDDEN


@gluon.jit
def weigh(
    s_ML,
    top_M,
    sum_M,
    position_M,
    start,
    context,
    PAGE: gl.constexpr,
    TILE: gl.constexpr,
    FACTOR: gl.constexpr,
    SCORES: gl.constexpr,
    ALL: gl.constexpr,
):
    """The running softmax after the tile at `start`; ALL says that every query sees all of it."""
    if ALL:
        new_M = gl.maximum(top_M, gl.max(s_ML, 1) * FACTOR)
        p_ML = gl.exp2(s_ML * FACTOR - gl.expand_dims(new_M, 1))
    else:
        place_L = start + gl.arange(0, TILE, gl.SliceLayout(0, SCORES))
        first = (context - 1) // PAGE * PAGE  # of the row's last page, whose keys lie at its end
        key_L = gl.where(place_L < first, place_L, place_L - (first + PAGE - context))
        real_L = (place_L < first) | (key_L >= first)
        seen_ML = gl.expand_dims(key_L, 0) <= gl.expand_dims(position_M, 1)
        s_ML = gl.where(seen_ML & gl.expand_dims(real_L, 0), s_ML * FACTOR, HIDDEN)
        new_M = gl.maximum(top_M, gl.max(s_ML, 1))
        p_ML = gl.exp2(s_ML - gl.expand_dims(new_M, 1))
    shrink_M = gl.exp2(top_M - new_M)
    sum_M = sum_M * shrink_M + gl.sum(p_ML, 1)
    return p_ML, new_M, sum_M, shrink_M


@gluon.jit
def score(q_ME, ring_SLE, full_S, n, SCORES: gl.constexpr, DEPTH: gl.constexpr):
    """The product of queries and copy `n`, under way."""
    buffer = n % DEPTH
    mbarrier.wait(full_S.index(buffer), (n // DEPTH) & 1)
    k_EL = ring_SLE.index(buffer).permute((1, 0))
    ROWS: gl.constexpr = q_ME.shape[0]
    TILE: gl.constexpr = ring_SLE.shape[1]
    zero_ML = gl.zeros([ROWS, TILE], gl.float32, SCORES)
    return warpgroup_mma(q_ME, k_EL, zero_ML, use_acc=False, is_async=True)


@gluon.jit
def add(p_ML, acc_ME, ring_SLE, full_S, n, DEPTH: gl.constexpr):
    """Sums with the weighted values of copy `n`, under way."""
    buffer = n % DEPTH
    mbarrier.wait(full_S.index(buffer), (n // DEPTH) & 1)
    return warpgroup_mma(p_ML, ring_SLE.index(buffer), acc_ME, is_async=True)


@gluon.jit
def span(
    q_ME,
    ring_SLE,
    full_S,
    empty_S,
    p_ML,
    top_M,
    sum_M,
    acc_ME,
    position_M,
    context,
    before,
    begin,
    end,
    PAGE: gl.constexpr,
    TILE: gl.constexpr,
    FACTOR: gl.constexpr,
    SCORES: gl.constexpr,
    SUMS: gl.constexpr,
    DEPTH: gl.constexpr,
    ALL: gl.constexpr,
):
    """Tiles begin .. end; `p_ML` has the weights of the tile before them, and of the last after."""
    for i in range(begin, end):
        keys, values = before + 2 * i, before + 2 * i - 1
        scores = score(q_ME, ring_SLE, full_S, keys, SCORES, DEPTH)
        sums = add(p_ML, acc_ME, ring_SLE, full_S, values, DEPTH)
        s_ML = warpgroup_mma_wait(1, deps=[scores])
        mbarrier.arrive(empty_S.index(keys % DEPTH))
        w_ML, top_M, sum_M, shrink_M = weigh(
            s_ML, top_M, sum_M, position_M, i * TILE, context, PAGE, TILE, FACTOR, SCORES, ALL
        )
        acc_ME = warpgroup_mma_wait(0, deps=[sums])
        mbarrier.arrive(empty_S.index(values % DEPTH))
        shrink_M = gl.convert_layout(shrink_M, gl.SliceLayout(1, SUMS))
        acc_ME = acc_ME * gl.expand_dims(shrink_M, 1)
        p_ML = gl.convert_layout(w_ML.to(p_ML.dtype), p_ML.type.layout)
    return p_ML, top_M, sum_M, acc_ME
