"""Searches in the registers of one program: the k-th largest, candidates, and the token to draw.

The token with the largest score that the filters keep is found without a sort: take the token with
the largest score; if the tokens before it have top_p of the mass already, it is dropped and so are
all that follow it in order, so take the largest score among those before it. The first one or two
are right in most rows.

Suffixes of sizes: V vocabulary, B blocks of a row, C candidates.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_ops_triton.kernels.sampling_numbers import LEAST, OUTSIDE, id_of, key_of, order, pack


@triton.jit
def kth_largest(keys, k):
    """By bisection; OUTSIDE where fewer than `k` are above it."""
    low = tl.min(keys, 0).to(tl.int64)
    high = tl.max(keys, 0).to(tl.int64)
    while low < high:
        middle = high - ((high - low) >> 1)
        enough = tl.sum((keys >= middle.to(tl.int32)).to(tl.int32), 0) >= k
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle - 1)
    return low.to(tl.int32)


@triton.jit
def gather(
    row_ptr, list_ptr, out_ptr, tops, b, cut, V: tl.constexpr, BLOCK: tl.constexpr,
    GROUP: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Write the ids of the tokens that reach `cut`, in order, and return how many there are.

    Not all are written, nor counted, where there are more than C.
    """
    reach = (tops >= cut).to(tl.int32)
    blocks = tl.sum(reach, 0)
    tl.store(list_ptr + tl.cumsum(reach, 0) - reach, b, mask=reach != 0)
    tl.debug_barrier()
    found = tl.where(blocks > C, C + 1, 0)
    first = blocks * 0
    while (first < blocks) & (found <= C):
        g = first + tl.arange(0, GROUP)
        block = tl.load(list_ptr + g, mask=g < blocks, other=0)
        v = block[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
        inside = (g < blocks)[:, None] & (v < V)
        x = tl.load(row_ptr + v, mask=inside, other=0.0).to(tl.float32)
        hit = tl.reshape((inside & (order(x) >= cut)).to(tl.int32), [GROUP * BLOCK])
        place = found + tl.cumsum(hit, 0) - hit
        ids = tl.reshape(v, [GROUP * BLOCK])
        tl.store(out_ptr + place, ids, mask=(hit != 0) & (place < C))
        found += tl.sum(hit, 0)
        first += GROUP
    tl.debug_barrier()
    return found


@triton.jit
def leader(ids, keys, scores, masses, alive):
    """The largest score, which tokens come before it, and their mass."""
    picked = tl.max(pack(tl.where(alive, scores, OUTSIDE), ids), 0)
    key = tl.max(tl.where(ids == id_of(picked), keys, OUTSIDE), 0)
    before = (keys > key) | ((keys == key) & (ids < id_of(picked)))
    return picked, before, tl.sum(tl.where(before, masses, 0.0), 0)


@triton.jit
def winner(ids, keys, scores, masses, goal, top_p):
    """The id with the largest score that top_p keeps; see the top of the file."""
    alive = masses > 0
    picked, before, ahead = leader(ids, keys, scores, masses, alive)
    while (top_p < 1.0) & (ahead > 0.0) & (ahead >= goal):
        alive = alive & before
        picked, before, ahead = leader(ids, keys, scores, masses, alive)
    return tl.where(key_of(picked) == OUTSIDE, 0, id_of(picked))


@triton.jit
def lowest(tops, peak, k, floor, temperature, B: tl.constexpr, SEEK: tl.constexpr):
    """The order of the logit that candidates must reach, and whether nothing below it is kept."""
    seek = tl.where(k > 0, k, SEEK)
    cut = tl.where(seek > B, LEAST, tl.maximum(kth_largest(tops, seek), LEAST))
    bounded = (k > 0) | (cut == LEAST)
    # a little lower than min_p's, whatever is rounded on the way
    room = 1e-5 * (tl.abs(peak) - temperature * floor)
    least = order(peak + temperature * floor - room)
    by_min_p = (k == 0) & (floor > -float("inf")) & (least >= cut)
    return tl.where(by_min_p, least, cut), bounded | by_min_p
