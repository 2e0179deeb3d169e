"""As packed.py, for sm_90, in Gluon: codes become weights in the registers that are multiplied.

One warp fetches, through the tensor memory accelerator, tiles of 128 inputs into a ring of buffers:
words of W, and the inputs in four pieces of 32, the planes of a word. Two warpgroups have half of a
program's rows of W each: one makes weights of a tile while the other one's are multiplied. Triton's
own pipelines put weights into shared memory in between, and wait for the product of each plane.
Weights are code * scale + what is left of zero point or minimum, in float32, rounded once.

Shape suffixes as in packed.py; R rows of W of a warpgroup, J words of a tile, S buffers.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from inferd_ops_triton.kernels.chain import EARLY_NEXT
from inferd_ops_triton.kernels.packed_words import PLANES, of_groups, weights_of
from inferd_ops_triton.kernels.warpgroups import WORKER_REGISTERS, WORKER_WARPS


@gluon.jit
def _fetch_words(words_desc, words_SRJ, full_S, buffer, tile, BYTES: gl.constexpr):
    """Both warpgroups' words of a tile; its buffer is full once it has got BYTES."""
    ROWS: gl.constexpr = words_SRJ.shape[1]
    mbarrier.expect(full_S.index(buffer), BYTES)
    for half in gl.static_range(2):
        at = [(gl.program_id(0) * 2 + half) * ROWS, tile * 32]
        piece = words_SRJ.index(2 * buffer + half)
        tma.async_copy_global_to_shared(words_desc, at, full_S.index(buffer), piece)


@gluon.jit
def _fetch(
    words_desc, x_desc, words_SRJ, x_SMJ, full_S, empty_S, first, tiles, DEPTH: gl.constexpr,
    CHAINED: gl.constexpr,
):  # fmt: skip
    """One warp's part: W's words ahead of the kernel before, then all tiles as buffers empty."""
    ROWS: gl.constexpr = words_SRJ.shape[1]
    BLOCK_M: gl.constexpr = x_SMJ.shape[1]
    WORD: gl.constexpr = words_SRJ.dtype.primitive_bitwidth // 8
    BYTES: gl.constexpr = 2 * ROWS * 32 * WORD + PLANES * BLOCK_M * 32 * 2
    for i in range(gl.minimum(DEPTH, tiles)):
        _fetch_words(words_desc, words_SRJ, full_S, i, first + i, BYTES)
    if CHAINED:
        gl.inline_asm_elementwise("griddepcontrol.wait; // $0", "=r", [], gl.int32, False, 1)
    for i in range(tiles):
        buffer = i % DEPTH
        if i >= DEPTH:
            mbarrier.wait(empty_S.index(buffer), ((i // DEPTH) & 1) ^ 1)
            _fetch_words(words_desc, words_SRJ, full_S, buffer, first + i, BYTES)
        for plane in gl.static_range(PLANES):
            at = [gl.program_id(2) * BLOCK_M, (first + i) * 128 + plane * 32]
            piece = x_SMJ.index(PLANES * buffer + plane)
            tma.async_copy_global_to_shared(x_desc, at, full_S.index(buffer), piece)


@gluon.jit
def _multiply(
    scales_ptr, seconds_ptr, bias_ptr, out_ptr, words_SRJ, x_SMJ, full_S, empty_S, first, tiles, M,
    N, K, half: gl.constexpr, DEPTH: gl.constexpr, BITS: gl.constexpr, ZEROS: gl.constexpr,
    NUMBER: gl.constexpr, GROUP: gl.constexpr, CHAINED: gl.constexpr,
):  # fmt: skip
    """A warpgroup's part: its rows of W times every tile of the inputs.

    What groups have is asked for two tiles ahead, a tile before words become weights.
    """
    ROWS: gl.constexpr = words_SRJ.shape[1]
    BLOCK_M: gl.constexpr = x_SMJ.shape[1]
    SUMS: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, BLOCK_M, 16])
    LEFT: gl.constexpr = gl.DotOperandLayout(0, SUMS, 2)
    OUT: gl.constexpr = gl.BlockedLayout([4, 1], [16, 2], [1, 4], [0, 1])
    if CHAINED == EARLY_NEXT:
        gl.inline_asm_elementwise(
            "griddepcontrol.launch_dependents; // $0", "=r", [], gl.int32, False, 1
        )
    start = gl.program_id(0) * 2 * ROWS + half * ROWS
    n = start + gl.arange(0, ROWS, gl.SliceLayout(1, LEFT))
    scales = of_groups(scales_ptr, first, n, N, K, GROUP)
    seconds = of_groups(seconds_ptr, first, n, N, K, GROUP)
    next_scales = of_groups(scales_ptr, first + 1, n, N, K, GROUP)
    next_seconds = of_groups(seconds_ptr, first + 1, n, N, K, GROUP)
    weights = weights_of(
        words_SRJ, full_S, 0, half, scales, seconds, x_SMJ, LEFT, BITS, ZEROS, NUMBER, GROUP, DEPTH
    )
    sums_RM = gl.zeros([ROWS, BLOCK_M], gl.float32, SUMS)
    for i in range(tiles):
        sums = sums_RM
        for plane in gl.static_range(PLANES):
            x_JM = x_SMJ.index(PLANES * (i % DEPTH) + plane).permute((1, 0))
            sums = warpgroup_mma(weights[plane], x_JM, sums, is_async=True)
        scales, seconds = next_scales, next_seconds
        next_scales = of_groups(scales_ptr, first + i + 2, n, N, K, GROUP)
        next_seconds = of_groups(seconds_ptr, first + i + 2, n, N, K, GROUP)
        next_weights = weights_of(
            words_SRJ, full_S, gl.minimum(i + 1, tiles - 1), half, scales, seconds, x_SMJ, LEFT,
            BITS, ZEROS, NUMBER, GROUP, DEPTH,
        )  # fmt: skip
        sums_RM, _, _, _, _ = warpgroup_mma_wait(
            0, deps=[sums, weights[0], weights[1], weights[2], weights[3]]
        )
        mbarrier.arrive(empty_S.index(i % DEPTH))
        weights = next_weights

    at_n = start + gl.arange(0, ROWS, gl.SliceLayout(1, OUT))
    m = gl.program_id(2) * BLOCK_M + gl.arange(0, BLOCK_M, gl.SliceLayout(0, OUT))
    out_RM = gl.convert_layout(sums_RM, OUT)
    if bias_ptr is not None:
        bias_R = gl.load(bias_ptr + at_n, mask=at_n < N, other=0.0).to(gl.float32)
        out_RM += gl.expand_dims(bias_R, 1)
    row_M = (gl.program_id(1) * M + m).to(gl.int64) * N
    out_ptrs = out_ptr + gl.expand_dims(row_M, 0) + gl.expand_dims(at_n, 1)
    inside = gl.expand_dims(m < M, 0) & gl.expand_dims(at_n < N, 1)
    gl.store(out_ptrs, out_RM.to(out_ptr.dtype.element_ty), mask=inside)


@gluon.jit(do_not_specialize=["M"])
def packed_ring_kernel(
    words_desc,  # [N, W] of four codes, int16 or int32, in boxes of [ROWS, 32]
    x_desc,  # [M, K] in boxes of [BLOCK_M, 32]
    scales_ptr,  # [G, N]
    seconds_ptr,  # [G, N]: zeros if ZEROS, with NUMBER added, else minima
    bias_ptr,  # [N] or None
    out_ptr,  # [P, M, N]
    M,
    N,
    K,
    BITS: gl.constexpr,
    ZEROS: gl.constexpr,
    NUMBER: gl.constexpr,
    GROUP: gl.constexpr,  # a multiple of 32
    ROWS: gl.constexpr,
    BLOCK_M: gl.constexpr,
    DEPTH: gl.constexpr,
    CHAINED: gl.constexpr,
):
    # grid: (blocks of N, P, blocks of M)
    words_SRJ = gl.allocate_shared_memory(
        words_desc.dtype, [2 * DEPTH, ROWS, 32], words_desc.layout
    )
    x_SMJ = gl.allocate_shared_memory(x_desc.dtype, [PLANES * DEPTH, BLOCK_M, 32], x_desc.layout)
    BARRIER: gl.constexpr = mbarrier.MBarrierLayout()
    full_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    empty_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    for buffer in gl.static_range(DEPTH):
        mbarrier.init(full_S.index(buffer), count=1)
        mbarrier.init(empty_S.index(buffer), count=2)
    fence_async_shared()
    share = gl.cdiv(gl.cdiv(K, 128), gl.num_programs(1))
    first = gl.program_id(1) * share
    tiles = gl.maximum(gl.minimum(share, gl.cdiv(K, 128) - first), 1)  # past the end: of zeros
    gl.warp_specialize(
        [
            (_multiply, (
                scales_ptr, seconds_ptr, bias_ptr, out_ptr, words_SRJ, x_SMJ, full_S, empty_S,
                first, tiles, M, N, K, 0, DEPTH, BITS, ZEROS, NUMBER, GROUP, CHAINED,
            )),
            (_multiply, (
                scales_ptr, seconds_ptr, bias_ptr, out_ptr, words_SRJ, x_SMJ, full_S, empty_S,
                first, tiles, M, N, K, 1, DEPTH, BITS, ZEROS, NUMBER, GROUP, CHAINED,
            )),
            (_fetch, (
                words_desc, x_desc, words_SRJ, x_SMJ, full_S, empty_S, first, tiles, DEPTH, CHAINED,
            )),
        ],
        WORKER_WARPS,
        WORKER_REGISTERS,
    )  # fmt: skip
