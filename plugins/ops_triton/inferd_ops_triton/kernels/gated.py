"""act(gate) * up where both are products of x, for sm_90, in Gluon: neither is written to memory.

A program takes tiles of the result in turn. One warp fetches, through the tensor memory
accelerator, 64 inputs at a time of x and of W's rows into a ring of buffers; each of two
warpgroups multiplies 64 rows of x by the same 128 rows of gate and of up. Products of a buffer run
while the next one's are asked for; a buffer is empty once both warpgroups have done with it.

Shape suffixes: M tokens, N rows of W of a tile, K inputs of a buffer, I intermediate, S buffers.
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

from inferd_ops_triton.kernels.warpgroups import WORKER_REGISTERS, WORKER_WARPS

ROWS = gl.constexpr(64)  # of x, of a warpgroup
COLUMNS = gl.constexpr(128)  # of the result, of a tile
INPUTS = gl.constexpr(64)  # 128 bytes, what a swizzled row holds


@gluon.jit
def _activated(x, ACT: gl.constexpr):
    """x times the sigmoid of x, or of what makes it GELU's approximation by tanh."""
    inner = x
    if ACT == "gelu_tanh":
        inner = 1.5957691216057308 * (x + 0.044715 * x * x * x)
    below = 1.0 + gl.exp2(inner * -1.4426950408889634)
    return x * gl.inline_asm_elementwise(
        "rcp.approx.ftz.f32 $0, $1;", "=r,r", [below], gl.float32, True, 1
    )


@gluon.jit
def _place(number, blocks_m, blocks_n, GROUP: gl.constexpr):
    """Tiles go down GROUP blocks of tokens, then right: those that run together share more."""
    first = number // (GROUP * blocks_n) * GROUP
    height = gl.minimum(blocks_m - first, GROUP)
    inside = number % (GROUP * blocks_n)
    return first + inside % height, inside // height


@gluon.jit
def _after(buffer, phase, DEPTH: gl.constexpr):
    """The next buffer of the ring, and how often it was used, odd or even."""
    following = gl.where(buffer == DEPTH - 1, 0, buffer + 1)
    return following, gl.where(buffer == DEPTH - 1, phase ^ 1, phase)


@gluon.jit
def _fetch(
    x_desc, weight_desc, rings, counts, inner, GROUP: gl.constexpr,
    DEPTH: gl.constexpr,
):  # fmt: skip
    """One warp's part: every tile's inputs, as buffers become empty."""
    x_SMK, weight_SNK, full_S, empty_S = rings
    blocks_m, blocks_n, steps = counts
    halves = weight_SNK._reinterpret(
        weight_SNK.dtype, [2 * DEPTH, COLUMNS, INPUTS], weight_SNK.layout
    )
    BYTES: gl.constexpr = (2 * ROWS + 2 * COLUMNS) * INPUTS * 2
    buffer, phase = 0, 0
    for number in range(gl.program_id(0), blocks_m * blocks_n, gl.num_programs(0)):
        m, n = _place(number, blocks_m, blocks_n, GROUP)
        for step in range(steps):
            mbarrier.wait(empty_S.index(buffer), phase ^ 1)
            full = full_S.index(buffer)
            mbarrier.expect(full, BYTES)
            for part in gl.static_range(2):
                at = [(m * 2 + part) * ROWS, step * INPUTS]
                piece = x_SMK.index(2 * buffer + part)
                tma.async_copy_global_to_shared(x_desc, at, full, piece)
            for half in gl.static_range(2):
                at = [half * inner + n * COLUMNS, step * INPUTS]
                tma.async_copy_global_to_shared(
                    weight_desc, at, full, halves.index(2 * buffer + half)
                )
            buffer, phase = _after(buffer, phase, DEPTH)


@gluon.jit
def _product(
    x_SMK, weight_SNK, full_S, buffer, phase, sums_MN, begin: gl.constexpr, part: gl.constexpr,
):  # fmt: skip
    """Sums with the product of a buffer, under way; those of the buffer before are done."""
    mbarrier.wait(full_S.index(buffer), phase)
    sums = warpgroup_mma(
        x_SMK.index(2 * buffer + part), weight_SNK.index(buffer).permute((1, 0)), sums_MN,
        use_acc=not begin, is_async=True,
    )  # fmt: skip
    return warpgroup_mma_wait(1, deps=[sums])


@gluon.jit
def _multiply(
    out_desc, rings, out_CMN, counts, part: gl.constexpr, ACT: gl.constexpr,
    GROUP: gl.constexpr, DEPTH: gl.constexpr,
):  # fmt: skip
    """A warpgroup's part: its 64 rows of each tile."""
    x_SMK, weight_SNK, full_S, empty_S = rings
    blocks_m, blocks_n, steps = counts
    SUMS: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 2 * COLUMNS, 16])
    out_MN = out_CMN.index(part)
    buffer, phase = 0, 0
    for number in range(gl.program_id(0), blocks_m * blocks_n, gl.num_programs(0)):
        m, n = _place(number, blocks_m, blocks_n, GROUP)
        sums_MN = gl.zeros([ROWS, 2 * COLUMNS], gl.float32, SUMS)
        sums_MN = _product(x_SMK, weight_SNK, full_S, buffer, phase, sums_MN, True, part)
        for _ in range(1, steps):
            before = buffer
            buffer, phase = _after(buffer, phase, DEPTH)
            sums_MN = _product(x_SMK, weight_SNK, full_S, buffer, phase, sums_MN, False, part)
            mbarrier.arrive(empty_S.index(before))
        sums_MN = warpgroup_mma_wait(0, deps=[sums_MN])
        mbarrier.arrive(empty_S.index(buffer))
        buffer, phase = _after(buffer, phase, DEPTH)

        gate_MI, up_MI = sums_MN.reshape([ROWS, 2, COLUMNS]).permute((0, 2, 1)).split()
        out = (_activated(gate_MI, ACT) * up_MI).to(out_desc.dtype)
        tma.store_wait(0)
        out_MN.store(out)
        fence_async_shared()
        tma.async_copy_shared_to_global(out_desc, [(m * 2 + part) * ROWS, n * COLUMNS], out_MN)
    tma.store_wait(0)


@gluon.jit(do_not_specialize=["M"])
def gated_kernel(
    x_desc,  # [M, K], in boxes of 64 x 64
    weight_desc,  # [2 I, K]: gate's rows, then up's; in boxes of 128 x 64
    out_desc,  # [M, I], in boxes of 64 x 128
    M,
    I,  # noqa: E741
    K,
    ACT: gl.constexpr,  # silu or gelu_tanh
    GROUP: gl.constexpr,
    DEPTH: gl.constexpr,
):
    # grid: as many programs as the device has multiprocessors
    x_SMK = gl.allocate_shared_memory(x_desc.dtype, [2 * DEPTH, ROWS, INPUTS], x_desc.layout)
    weight_SNK = gl.allocate_shared_memory(
        x_desc.dtype, [DEPTH, 2 * COLUMNS, INPUTS], weight_desc.layout
    )
    out_CMN = gl.allocate_shared_memory(x_desc.dtype, [2, ROWS, COLUMNS], out_desc.layout)
    BARRIER: gl.constexpr = mbarrier.MBarrierLayout()
    full_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    empty_S = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], BARRIER)
    for buffer in gl.static_range(DEPTH):
        mbarrier.init(full_S.index(buffer), count=1)
        mbarrier.init(empty_S.index(buffer), count=2)
    fence_async_shared()
    blocks_m, blocks_n = gl.cdiv(M, 2 * ROWS), gl.cdiv(I, COLUMNS)
    steps = gl.cdiv(K, INPUTS)
    rings = (x_SMK, weight_SNK, full_S, empty_S)
    counts = (blocks_m, blocks_n, steps)
    gl.warp_specialize(
        [
            (_multiply, (out_desc, rings, out_CMN, counts, 0, ACT, GROUP, DEPTH)),
            (_multiply, (out_desc, rings, out_CMN, counts, 1, ACT, GROUP, DEPTH)),
            (_fetch, (x_desc, weight_desc, rings, counts, I, GROUP, DEPTH)),
        ],
        WORKER_WARPS,
        WORKER_REGISTERS,
    )
