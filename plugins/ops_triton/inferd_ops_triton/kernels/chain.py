"""Programmatic dependent launch: the next kernel starts while this one still runs.

A chained kernel lets the next one in as soon as all its programs run, or late: once they have asked
for their inputs. It waits for the kernel before it. Before that wait it may read weights, which no
kernel writes, and may write nothing.
Every program must wait, whatever it does afterwards: otherwise the next kernel could see the
memory of the one before last unfinished.
"""

from __future__ import annotations

from collections.abc import Mapping

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

Chain = Mapping[str, int]

EARLY_NEXT, LATE_NEXT = tl.constexpr(1), tl.constexpr(2)
ALONE: Chain = {"CHAINED": 0}
CHAINED: Chain = {"CHAINED": EARLY_NEXT.value, "launch_pdl": True}  # sm_90 and newer
LATE: Chain = {"CHAINED": LATE_NEXT.value, "launch_pdl": True}
WAYS = {"alone": ALONE, "early": CHAINED, "late": LATE}  # as tables spell them


@triton.jit
def let_next_start(CHAINED: tl.constexpr):
    if CHAINED == EARLY_NEXT:
        gdc_launch_dependents()


@triton.jit
def let_next_start_late(CHAINED: tl.constexpr):
    if CHAINED == LATE_NEXT:
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
