"""As packed.py, for sm_90 and few tokens, in Gluon: words become weights in mma.sync's registers.

Warps of a program share a block of rows of W, and of its inputs a step: WARPS_K tiles of 128, which
are multiplied beside each other and added at the end. 16 bytes of words, which a thread reads from
shared memory at once, are 8 inputs beside each other of each plane: all that it needs for two
products, if the inputs are taken in that order. No weight is written anywhere, and no warp waits
for another's product. One more warp fetches, through the tensor memory accelerator.

The steps of all blocks are dealt to the programs evenly, in order: a program may begin within a
block, and what several have of one is added by a kernel of its own. With zero points, products are
of exact codes, as in packed.py; with minima, and where sums of groups would take too many
registers, weights are rounded once, as in packed_ring.py.

Shape suffixes as in packed.py; R rows of W of a block, J words of a tile, B tiles of a step, S
buffers.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, mbarrier, tma

from inferd_ops_triton.kernels.chain import EARLY_NEXT
from inferd_ops_triton.kernels.packed_warps_step import with_step
from inferd_ops_triton.kernels.packed_words import PLANES

FETCHING_WARPS, FETCHING_REGISTERS = gl.constexpr([1]), gl.constexpr([24])
AHEAD = gl.constexpr(2)  # steps of W that are asked for before any inputs


@gluon.jit
def _fetch_weights(
    words_desc, scales_desc, seconds_desc, words_SBRJ, scales_SBR, seconds_SBR, full_S, buffer,
    step, per_block, N, BYTES: gl.constexpr, PIECES: gl.constexpr,
):  # fmt: skip
    """What a step has of W; its buffer is full once it has got BYTES."""
    full = full_S.index(buffer)
    tile, row = step % per_block * words_SBRJ.shape[1], step // per_block * words_SBRJ.shape[2]
    mbarrier.expect(full, BYTES)
    tma.async_copy_global_to_shared(words_desc, [tile, row, 0], full, words_SBRJ.index(buffer))
    for piece in gl.static_range(PIECES):
        at, to = [tile, piece * N + row], PIECES * buffer + piece
        tma.async_copy_global_to_shared(scales_desc, at, full, scales_SBR.index(to))
        tma.async_copy_global_to_shared(seconds_desc, at, full, seconds_SBR.index(to))


@gluon.jit
def _fetch(
    words_desc, scales_desc, seconds_desc, x_desc, words_SBRJ, scales_SBR, seconds_SBR, x_SBMJ,
    full_S, empty_S, start, end, per_block, N, PIECES: gl.constexpr, DEPTH: gl.constexpr,
    CHAINED: gl.constexpr,
):  # fmt: skip
    """One warp's part: some of W ahead of the kernel before, then all steps as buffers empty."""
    STEP: gl.constexpr = words_SBRJ.shape[1]
    ROWS: gl.constexpr = words_SBRJ.shape[2]
    BITS: gl.constexpr = scales_SBR.dtype.primitive_bitwidth + seconds_SBR.dtype.primitive_bitwidth
    TILE_BYTES: gl.constexpr = 64 * (ROWS + PLANES * x_SBMJ.shape[2]) + PIECES * ROWS * BITS // 8
    for i in range(gl.minimum(AHEAD, end - start)):
        _fetch_weights(
            words_desc, scales_desc, seconds_desc, words_SBRJ, scales_SBR, seconds_SBR, full_S, i,
            start + i, per_block, N, STEP * TILE_BYTES, PIECES,
        )  # fmt: skip
    if CHAINED:
        gl.inline_asm_elementwise("griddepcontrol.wait; // $0", "=r", [], gl.int32, False, 1)
    for i in range(end - start):
        buffer = i % DEPTH
        if i >= DEPTH:
            mbarrier.wait(empty_S.index(buffer), ((i // DEPTH) & 1) ^ 1)
        if i >= AHEAD:
            _fetch_weights(
                words_desc, scales_desc, seconds_desc, words_SBRJ, scales_SBR, seconds_SBR, full_S,
                buffer, start + i, per_block, N, STEP * TILE_BYTES, PIECES,
            )  # fmt: skip
        tile = (start + i) % per_block * STEP
        for plane in gl.static_range(PLANES):
            at = [tile, gl.program_id(1) * x_SBMJ.shape[2], plane * 32]
            piece = x_SBMJ.index(PLANES * buffer + plane)
            tma.async_copy_global_to_shared(x_desc, at, full_S.index(buffer), piece)


@gluon.jit
def _store(sums_BRM, bias_ptr, out_ptr, parts_ptr, block, slot, whole, M, N, BLOCK_M: gl.constexpr):
    """Sums of a block's tiles: what is asked for, or one of the parts of it."""
    ROWS: gl.constexpr = sums_BRM.shape[1]
    OUT: gl.constexpr = gl.BlockedLayout([1, 4, 1], [1, 16, 2], [1, 1, gl.num_warps()], [1, 2, 0])
    out_RM = gl.sum(gl.convert_layout(sums_BRM, OUT), 0)
    n_R = block * ROWS + gl.arange(0, ROWS, gl.SliceLayout(1, gl.SliceLayout(0, OUT)))
    m_M = gl.arange(0, BLOCK_M, gl.SliceLayout(0, gl.SliceLayout(0, OUT)))
    m_M += gl.program_id(1) * BLOCK_M
    inside = gl.expand_dims(m_M < M, 0) & gl.expand_dims(n_R < N, 1)
    if whole:
        if bias_ptr is not None:
            bias_R = gl.load(bias_ptr + n_R, mask=n_R < N, other=0.0).to(gl.float32)
            out_RM += gl.expand_dims(bias_R, 1)
        at = gl.expand_dims(m_M.to(gl.int64) * N, 0) + gl.expand_dims(n_R, 1)
        gl.store(out_ptr + at, out_RM.to(out_ptr.dtype.element_ty), mask=inside)
    else:
        row_M = (slot * M + m_M).to(gl.int64) * N
        gl.store(parts_ptr + gl.expand_dims(row_M, 0) + gl.expand_dims(n_R, 1), out_RM, mask=inside)


@gluon.jit
def _multiply(
    bias_ptr, out_ptr, parts_ptr, words_SBRJ, scales_SBR, seconds_SBR, x_SBMJ, full_S, empty_S,
    start, end, per_block, share, M, N, PIECES: gl.constexpr, ZEROS: gl.constexpr,
    NUMBER: gl.constexpr, WARPS_N: gl.constexpr, DEPTH: gl.constexpr, CHAINED: gl.constexpr,
):  # fmt: skip
    """The other warps' part."""
    STEP: gl.constexpr = words_SBRJ.shape[1]
    ROWS: gl.constexpr = words_SBRJ.shape[2]
    BLOCK_M: gl.constexpr = x_SBMJ.shape[2]
    SUMS: gl.constexpr = gl.NVMMADistributedLayout([2, 0], [STEP, WARPS_N, 1], [1, 16, 8])
    if CHAINED == EARLY_NEXT:
        gl.inline_asm_elementwise(
            "griddepcontrol.launch_dependents; // $0", "=r", [], gl.int32, False, 1
        )
    begun = start
    while begun < end:
        block = begun // per_block
        stop = gl.minimum(end, (block + 1) * per_block)
        sums_BRM = gl.zeros([STEP, ROWS, BLOCK_M], gl.float32, SUMS)
        for i in range(begun - start, stop - start):
            buffer = i % DEPTH
            mbarrier.wait(full_S.index(buffer), (i // DEPTH) & 1)
            sums_BRM = with_step(
                sums_BRM, words_SBRJ, scales_SBR, seconds_SBR, x_SBMJ, buffer, PIECES, ZEROS, NUMBER
            )
            mbarrier.arrive(empty_S.index(buffer))
        slot = gl.program_id(0) - block * per_block // share
        whole = (begun == block * per_block) & (stop == (block + 1) * per_block)
        _store(sums_BRM, bias_ptr, out_ptr, parts_ptr, block, slot, whole, M, N, BLOCK_M)
        begun = stop


@gluon.jit(do_not_specialize=["M", "share"])
def packed_warps_kernel(
    words_desc,  # [T, N, 32] of four codes, int16, in boxes of [WARPS_K, ROWS, 32]
    scales_desc,  # [T, PIECES N] in boxes of [WARPS_K, ROWS]
    seconds_desc,  # [T, PIECES N] in such boxes: zeros if ZEROS, with NUMBER added, else minima
    x_desc,  # [T, M, 128] in boxes of [WARPS_K, BLOCK_M, 32]
    bias_ptr,  # [N] or None
    out_ptr,  # [M, N]
    parts_ptr,  # [P, M, N], float32
    M,
    N,
    K,  # whole tiles
    share,  # steps of a program
    PIECES: gl.constexpr,  # groups of a tile
    ZEROS: gl.constexpr,
    NUMBER: gl.constexpr,
    ROWS: gl.constexpr,
    BLOCK_M: gl.constexpr,
    WARPS_N: gl.constexpr,  # that share the rows
    WARPS_K: gl.constexpr,  # and tiles of a step
    DEPTH: gl.constexpr,  # AHEAD or more
    CHAINED: gl.constexpr,
):
    # grid: (programs, blocks of M)
    words_SBRJ = gl.allocate_shared_memory(
        words_desc.dtype, [DEPTH, WARPS_K, ROWS, 32], words_desc.layout
    )
    OF_GROUPS: gl.constexpr = [PIECES * DEPTH, WARPS_K, ROWS]
    scales_SBR = gl.allocate_shared_memory(scales_desc.dtype, OF_GROUPS, scales_desc.layout)
    seconds_SBR = gl.allocate_shared_memory(seconds_desc.dtype, OF_GROUPS, seconds_desc.layout)
    x_SBMJ = gl.allocate_shared_memory(
        x_desc.dtype, [PLANES * DEPTH, WARPS_K, BLOCK_M, 32], x_desc.layout
    )
    BARRIER: gl.constexpr = mbarrier.MBarrierLayout()
    full_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    empty_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    for buffer in gl.static_range(DEPTH):
        mbarrier.init(full_S.index(buffer), count=1)
        mbarrier.init(empty_S.index(buffer), count=1)
    fence_async_shared()
    per_block = gl.cdiv(gl.cdiv(K, 128), WARPS_K)
    start = gl.program_id(0) * share
    end = gl.minimum(start + share, gl.cdiv(N, ROWS) * per_block)
    gl.warp_specialize(
        [
            (_multiply, (
                bias_ptr, out_ptr, parts_ptr, words_SBRJ, scales_SBR, seconds_SBR, x_SBMJ, full_S,
                empty_S, start, end, per_block, share, M, N, PIECES, ZEROS, NUMBER, WARPS_N,
                DEPTH, CHAINED,
            )),
            (_fetch, (
                words_desc, scales_desc, seconds_desc, x_desc, words_SBRJ, scales_SBR, seconds_SBR,
                x_SBMJ, full_S, empty_S, start, end, per_block, N, PIECES, DEPTH, CHAINED,
            )),
        ],
        FETCHING_WARPS,
        FETCHING_REGISTERS,
    )  # fmt: skip
