"""Programmatic dependent launch: the next kernel starts while this one still runs.

A chained kernel lets the next one in as soon as all its programs run, and waits for the kernel
before it. Every program must wait, whatever it does afterwards. Before that wait it may write
nothing and may read what was complete when the step's first decode started: that one is launched
after everything before it (FIRST), so the dealt work and the block tables are. Bringing keys into
the L2 is no reading: what is written there later is seen.

Shape suffixes: L keys.
"""

from __future__ import annotations

from collections.abc import Mapping

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

Chain = Mapping[str, bool]

ALONE: Chain = {"CHAINED": False}
FIRST: Chain = {"CHAINED": True}  # lets the next start early, and starts late itself
CHAINED: Chain = {"CHAINED": True, "launch_pdl": True}  # sm_90 and newer


@triton.jit
def let_next_start(CHAINED: tl.constexpr):
    if CHAINED:
        gdc_launch_dependents()


@triton.jit
def wait_for_previous(CHAINED: tl.constexpr):
    if CHAINED:
        gdc_wait()


@triton.jit
def fetch_into_l2(ptrs, count: tl.constexpr):
    """`count` elements from each of `ptrs`, in bulk; both must be multiples of 16 bytes. sm_90."""
    size = tl.full(ptrs.shape, count * (ptrs.dtype.element_ty.primitive_bitwidth // 8), tl.int32)
    tl.inline_asm_elementwise(
        "cp.async.bulk.prefetch.L2.global [$1], $2; // $0",
        "=r,l,r",
        [ptrs, size],
        dtype=tl.int32,
        is_pure=False,
        pack=1,
    )


@triton.jit
def fetch_keys(
    k_ptr,
    v_ptr,
    table_ptr,
    begin,
    end,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    E: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """Up to AHEAD keys from `begin` on, of the KV head at those pointers, and their values."""
    if AHEAD > 0:
        key_L = tl.minimum(begin + tl.arange(0, AHEAD), end - 1)
        page_L = tl.load(table_ptr + key_L // PAGE).to(tl.int64)
        at_L = page_L * BLOCK_STRIDE + (key_L % PAGE) * SLOT_STRIDE
        fetch_into_l2(k_ptr + at_L, E)
        fetch_into_l2(v_ptr + at_L, E)
