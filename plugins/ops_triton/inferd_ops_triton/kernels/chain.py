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
