"""Prefill for sm_90, in Gluon: as prefill.py, with the order of every copy and product said here.

A program takes blocks of the list that deal.py made. One warp fetches tiles of keys and values,
page by page through the tensor memory accelerator, into a ring of buffers; two warpgroups have half
of a block's queries each. A warpgroup multiplies the weights of one tile with its values while it
weighs the scores of the next one (FlashAttention-3, arXiv:2407.08608, section 3.2). Triton's own
pipelines wait for the scores before they weigh them, which leaves the tensor cores idle meanwhile.

Copy 2i of a block has the keys of its tile i, 2i + 1 the values; copy n lies in buffer n % DEPTH,
and `before` counts those of the program's earlier blocks. In the last page of a row, slots after
its context may hold anything, NaN too: that page is fetched from that many slots before its
beginning, where the accelerator puts zeros, so that its keys end where its place in the tile does.

Shape suffixes: M = queries of a warpgroup * heads of a program, E head size, L keys of a tile,
S = buffers of the ring.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    warpgroup_mma_wait,
)

from inferd_attention_triton.kernels.hopper_fetch import block_of, fetch
from inferd_attention_triton.kernels.hopper_tiles import add, score, span, weigh
from inferd_attention_triton.kernels.tile import HIDDEN, LOG2E

# Gluon is an experiment: Triton 3.6 to 3.8 have the names used here, 3.9 has others
AVAILABLE = hasattr(gl.shared_memory_descriptor, "_reinterpret")
# of the second warpgroup and of the warp that fetches; the first has what is left of MAXNREG
WORKER_WARPS = gl.constexpr([4, 1])
WORKER_REGISTERS = gl.constexpr([240, 24])
WARPS = 4  # of the first
MAXNREG = 168  # for three times 128 threads, as registers are given out


@gluon.jit
def _attend(
    q_ptr,
    out_ptr,
    blocks_ptr,
    q_ME,
    ring_SLE,
    full_S,
    empty_S,
    first,
    HEADS: gl.constexpr,
    SHARE: gl.constexpr,
    PAGE: gl.constexpr,
    Q_STRIDE: gl.constexpr,
    FACTOR: gl.constexpr,
    DEPTH: gl.constexpr,
):
    """A warpgroup's part: from row `first` of each block as many as `q_ME` takes."""
    ROWS: gl.constexpr = q_ME.shape[0]
    E: gl.constexpr = q_ME.shape[1]
    TILE: gl.constexpr = ring_SLE.shape[1]
    SCORES: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, TILE, 16])
    SUMS: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, E, 16])
    WEIGHTS: gl.constexpr = gl.DotOperandLayout(0, SUMS, 2)
    LOADED: gl.constexpr = gl.BlockedLayout([1, 8], [256 // E, E // 8], [4, 1], [1, 0])
    dtype: gl.constexpr = out_ptr.dtype.element_ty
    head = gl.program_id(0) * SHARE
    m = first + gl.arange(0, ROWS, gl.SliceLayout(1, LOADED))
    q_at_ME = gl.expand_dims(m // SHARE * Q_STRIDE + (head + m % SHARE) * E, 1) + gl.expand_dims(
        gl.arange(0, E, gl.SliceLayout(0, LOADED)), 0
    )
    out_m = first + gl.arange(0, ROWS, gl.SliceLayout(1, SUMS))
    out_at_ME = gl.expand_dims((out_m // SHARE * HEADS + head + out_m % SHARE) * E, 1)
    out_at_ME += gl.expand_dims(gl.arange(0, E, gl.SliceLayout(0, SUMS)), 0)
    score_m = first + gl.arange(0, ROWS, gl.SliceLayout(1, SCORES))

    blocks, before = gl.load(blocks_ptr), 0
    # the last blocks of a prompt have the most keys: they begin first
    for done in range(gl.program_id(1), blocks, gl.num_programs(1)):
        token, _, queries, position, context, tiles = block_of(blocks_ptr, blocks - done, TILE)
        there_M1 = gl.expand_dims(m // SHARE < queries, 1)
        q_ME.store(gl.load(q_ptr + token * Q_STRIDE + q_at_ME, mask=there_M1, other=0.0))
        fence_async_shared()
        position_M = position + score_m // SHARE
        top_M = gl.full([ROWS], HIDDEN, gl.float32, gl.SliceLayout(1, SCORES))
        sum_M = gl.zeros([ROWS], gl.float32, gl.SliceLayout(1, SCORES))
        acc_ME = gl.zeros([ROWS, E], gl.float32, SUMS)

        scores = score(q_ME, ring_SLE, full_S, before, SCORES, DEPTH)
        s_ML = warpgroup_mma_wait(0, deps=[scores])
        mbarrier.arrive(empty_S.index(before % DEPTH))
        w_ML, top_M, sum_M, _ = weigh(
            s_ML, top_M, sum_M, position_M, 0, context, PAGE, TILE, FACTOR, SCORES, ALL=False
        )
        p_ML = gl.convert_layout(w_ML.to(dtype), WEIGHTS)
        seen_by_all = gl.maximum((position + 1) // TILE, 1)
        p_ML, top_M, sum_M, acc_ME = span(
            q_ME, ring_SLE, full_S, empty_S, p_ML, top_M, sum_M, acc_ME, position_M, context,
            before, 1, seen_by_all, PAGE, TILE, FACTOR, SCORES, SUMS, DEPTH, ALL=True,
        )  # fmt: skip
        p_ML, top_M, sum_M, acc_ME = span(
            q_ME, ring_SLE, full_S, empty_S, p_ML, top_M, sum_M, acc_ME, position_M, context,
            before, seen_by_all, tiles, PAGE, TILE, FACTOR, SCORES, SUMS, DEPTH, ALL=False,
        )  # fmt: skip
        before += 2 * tiles
        sums = add(p_ML, acc_ME, ring_SLE, full_S, before - 1, DEPTH)
        acc_ME = warpgroup_mma_wait(0, deps=[sums])
        mbarrier.arrive(empty_S.index((before - 1) % DEPTH))

        sum_M = gl.maximum(gl.convert_layout(sum_M, gl.SliceLayout(1, SUMS)), 1e-30)
        out_ME = (acc_ME / gl.expand_dims(sum_M, 1)).to(dtype)
        there_M1 = gl.expand_dims(out_m // SHARE < queries, 1)
        gl.store(out_ptr + token * (HEADS * E) + out_at_ME, out_ME, mask=there_M1)


@gluon.jit(do_not_specialize=["table_stride"])
def hopper_prefill_kernel(
    pages_desc,  # [B * pages of a block, S, E]: a page has S slots of one head's keys or values
    q_ptr,
    out_ptr,
    tables_ptr,
    blocks_ptr,
    table_stride,
    HEADS: gl.constexpr,
    SHARE: gl.constexpr,
    E: gl.constexpr,
    PAGE: gl.constexpr,
    PAGES_OF_BLOCK: gl.constexpr,
    PAGES_TO_V: gl.constexpr,
    Q_STRIDE: gl.constexpr,
    SCALE: gl.constexpr,
    TILE: gl.constexpr,
    BLOCK_M: gl.constexpr,
    DEPTH: gl.constexpr,
):
    ROWS: gl.constexpr = BLOCK_M // 2
    FACTOR: gl.constexpr = SCALE * LOG2E
    TILES: gl.constexpr = gl.NVMMASharedLayout(128, 16, 2)
    BARRIER: gl.constexpr = mbarrier.MBarrierLayout()
    dtype: gl.constexpr = out_ptr.dtype.element_ty
    q_CME = gl.allocate_shared_memory(dtype, [2, ROWS, E], TILES)
    ring_SLE = gl.allocate_shared_memory(dtype, [DEPTH, TILE, E], TILES)
    full_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    empty_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    for buffer in gl.static_range(DEPTH):
        mbarrier.init(full_S.index(buffer), count=1)
        mbarrier.init(empty_S.index(buffer), count=2)
    fence_async_shared()
    gl.warp_specialize(
        [
            (_attend, (
                q_ptr, out_ptr, blocks_ptr, q_CME.index(0), ring_SLE, full_S, empty_S, 0,
                HEADS, SHARE, PAGE, Q_STRIDE, FACTOR, DEPTH,
            )),
            (_attend, (
                q_ptr, out_ptr, blocks_ptr, q_CME.index(1), ring_SLE, full_S, empty_S, ROWS,
                HEADS, SHARE, PAGE, Q_STRIDE, FACTOR, DEPTH,
            )),
            (fetch, (
                pages_desc, tables_ptr, blocks_ptr, table_stride, ring_SLE, full_S, empty_S,
                PAGES_OF_BLOCK, PAGES_TO_V, PAGE, TILE, E, DEPTH,
            )),
        ],
        WORKER_WARPS,
        WORKER_REGISTERS,
    )  # fmt: skip
