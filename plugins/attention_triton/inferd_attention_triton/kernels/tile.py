"""What decode and prefill share: finding a tile of keys in the pages, and the running softmax.

Shape suffixes: M rows of queries, L keys of a tile, E head size.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
# Finite, so that a row whose keys are all hidden gives 0 in exp2 and never inf - inf.
HIDDEN = tl.constexpr(-1.0e30)
MOST_F16 = tl.constexpr(65504.0)
# weights of up to 2 ** 15 leave room for small ones: float16 ends at 2 ** -24
F16_ABOVE = tl.constexpr(15)


@triton.jit
def locate(
    table_ptr,
    start,
    end,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    TILE: tl.constexpr,
):
    """(scalar, [L]): their sum is where keys start .. start + TILE lie in the cache."""
    pages = look_up(table_ptr, start, end, PAGE, TILE)
    return place(pages, start, PAGE, BLOCK_STRIDE, SLOT_STRIDE, TILE)


@triton.jit
def look_up(table_ptr, start, end, PAGE: tl.constexpr, TILE: tl.constexpr):
    """The page of the tile at `start` where it lies in one, else [L] of its keys."""
    if PAGE % TILE == 0:
        pages = tl.load(table_ptr + start // PAGE, mask=start < end, other=0)
    else:
        key_L = start + tl.arange(0, TILE)
        pages = tl.load(table_ptr + key_L // PAGE, mask=key_L < end, other=0)
    return pages


@triton.jit
def place(
    pages,
    start,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    TILE: tl.constexpr,
):
    """As `locate`, of pages that were looked up."""
    within_L = tl.arange(0, TILE)
    if PAGE % TILE == 0:  # offsets of 32 bits within the page
        base = pages.to(tl.int64) * BLOCK_STRIDE + (start % PAGE) * SLOT_STRIDE
        at_L = within_L * SLOT_STRIDE
    else:
        base = 0
        at_L = pages.to(tl.int64) * BLOCK_STRIDE + ((start + within_L) % PAGE) * SLOT_STRIDE
    return base, at_L


@triton.jit
def load_rows(ptr, base, at_L, there_L, E: tl.constexpr, BLOCK_E: tl.constexpr, ALL: tl.constexpr):
    """[L, E]; zeros where there is nothing: freed pages keep their contents, NaN among them."""
    e = tl.arange(0, BLOCK_E)
    ptrs = ptr + base + at_L[:, None] + e[None, :]
    if ALL and E == BLOCK_E:
        rows_LE = tl.load(ptrs)
    elif ALL:
        rows_LE = tl.load(ptrs, mask=e[None, :] < E, other=0.0)
    elif E == BLOCK_E:
        rows_LE = tl.load(ptrs, mask=there_L[:, None], other=0.0)
    else:
        rows_LE = tl.load(ptrs, mask=there_L[:, None] & (e[None, :] < E), other=0.0)
    return rows_LE


@triton.jit
def beside_cache(q_ME, k_ptr):
    """Queries as they are multiplied: in float16 over a cache in FP8, whose numbers it has exactly.

    One instruction makes two of them; bfloat16 would be made of those by a unit of a sixteenth of
    the multiprocessor's width, which then bounds decoding.
    """
    if k_ptr.dtype.element_ty.primitive_bitwidth == 8 and q_ME.dtype == tl.bfloat16:
        q_ME = tl.clamp(
            q_ME.to(tl.float32), -MOST_F16, MOST_F16, propagate_nan=tl.PropagateNan.ALL
        ).to(tl.float16)
    return q_ME


@triton.jit
def heads_of(GROUP: tl.constexpr, SHARE: tl.constexpr):
    """(KV head, first query head, how many) of a program, by its place in the first dimension.

    Programs share the query heads of a KV head where there are more than one takes (SHARE).
    """
    shares: tl.constexpr = (GROUP + SHARE - 1) // SHARE
    kv_head = tl.program_id(0) // shares
    before = tl.program_id(0) % shares * SHARE
    return kv_head, kv_head * GROUP + before, tl.minimum(GROUP - before, SHARE)


@triton.jit
def attend(
    q_ME,
    k_LE,
    v_LE,
    lean_ML,
    visible_ML,
    top_M,
    sum_M,
    acc_ME,
    SCALE: tl.constexpr,
    SOFT_CAP: tl.constexpr,
    ALIBI: tl.constexpr,
    ALL: tl.constexpr,
):
    """One more tile of keys; with ALIBI, `lean_ML` is added to its scores, in powers of two."""
    s_ML, factor = scores(q_ME, k_LE, lean_ML, SCALE, SOFT_CAP, ALIBI)
    above: tl.constexpr = F16_ABOVE if k_LE.dtype.primitive_bitwidth == 8 else 0
    v_LE = v_LE.to(q_ME.dtype)
    return weigh(s_ML, v_LE, visible_ML, top_M, sum_M, acc_ME, factor, ALL, above)


@triton.jit
def scores(
    q_ME, k_LE, lean_ML, SCALE: tl.constexpr, SOFT_CAP: tl.constexpr, ALIBI: tl.constexpr
):  # fmt: skip
    """[M, L], and by what they are multiplied to be in powers of two."""
    s_ML = tl.dot(q_ME, tl.trans(k_LE.to(q_ME.dtype)), input_precision="ieee")
    if SOFT_CAP > 0:
        # tanh(x) = 1 - 2 / (e^2x + 1)
        e2x_ML = tl.exp2(s_ML * (2 * LOG2E * SCALE / SOFT_CAP))
        s_ML = (1 - 2 / (e2x_ML + 1)) * (SOFT_CAP * LOG2E)
    elif ALIBI:
        s_ML *= SCALE * LOG2E
    if ALIBI:
        s_ML += lean_ML
    scaled: tl.constexpr = SOFT_CAP > 0 or ALIBI
    factor: tl.constexpr = 1.0 if scaled else SCALE * LOG2E
    return s_ML, factor


@triton.jit
def weigh(
    s_ML,
    v_LE,
    visible_ML,
    top_M,
    sum_M,
    acc_ME,
    FACTOR: tl.constexpr,
    ALL: tl.constexpr,
    ABOVE: tl.constexpr = 0,
):
    """The running softmax after a tile whose scores are s * FACTOR, in powers of two."""
    p_ML, top_M, sum_M, shrink_M = weights(s_ML, visible_ML, top_M, sum_M, FACTOR, ALL, ABOVE)
    acc_ME = tl.dot(p_ML.to(v_LE.dtype), v_LE, acc_ME * shrink_M[:, None], input_precision="ieee")
    return top_M, sum_M, acc_ME


@triton.jit
def weights(
    s_ML,
    visible_ML,
    top_M,
    sum_M,
    FACTOR: tl.constexpr,
    ALL: tl.constexpr,
    ABOVE: tl.constexpr,
):
    """Of the tile's values [M, L]; the new tops and sums; by what sums of values shrink.

    The largest weight is 2 ** ABOVE, and a top that much below the largest score.
    """
    if ALL:
        new_M = tl.maximum(top_M, tl.max(s_ML, 1) * FACTOR - ABOVE)
        p_ML = tl.exp2(s_ML * FACTOR - new_M[:, None])
    else:  # HIDDEN times the factor would not be rounded in a fused multiply-add: inf, not 1
        s_ML = tl.where(visible_ML, s_ML * FACTOR, HIDDEN)
        new_M = tl.maximum(top_M, tl.max(s_ML, 1) - ABOVE)
        p_ML = tl.exp2(s_ML - new_M[:, None])
    shrink_M = tl.exp2(top_M - new_M)
    return p_ML, new_M, sum_M * shrink_M + tl.sum(p_ML, 1), shrink_M


@triton.jit
def beside_sinks(sinks_ptr, head_M, here_M, top_M, sum_M):
    """Sums with the key that is always seen, whose value is zero."""
    if sinks_ptr is not None:
        sink_M = tl.load(sinks_ptr + head_M, mask=here_M, other=HIDDEN)
        sum_M += tl.exp2(sink_M * LOG2E - top_M)
    return tl.maximum(sum_M, 1e-30)
