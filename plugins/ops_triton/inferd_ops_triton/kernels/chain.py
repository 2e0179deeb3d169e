"""Programmatic dependent launch: the next kernel starts while this one still runs.

A chained kernel lets the next one in as soon as all its programs run, and waits for the kernel
before it. Before that wait it may read weights, which no kernel writes, and may write nothing.
Every program must wait, whatever it does afterwards: otherwise the next kernel could see the
memory of the one before last unfinished.
"""

from __future__ import annotations

from collections.abc import Mapping

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

Chain = Mapping[str, bool]

ALONE: Chain = {"CHAINED": False}
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
def fetch_into_l2(ptrs, count):
    """`count` elements from each of `ptrs`, in bulk; both must be multiples of 16 bytes. sm_90."""
    size = count * (ptrs.dtype.element_ty.primitive_bitwidth // 8)
    tl.inline_asm_elementwise(
        "cp.async.bulk.prefetch.L2.global [$1], $2; // $0",
        "=r,l,r",
        [ptrs, size],
        dtype=tl.int32,
        is_pure=False,
        pack=1,
    )
