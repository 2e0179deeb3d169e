"""How the kernels in Gluon for sm_90 that multiply by `wgmma` share a multiprocessor.

Two warpgroups multiply, and a warp beside them fetches: a program of one multiprocessor.
"""

from __future__ import annotations

from triton.experimental.gluon import language as gl

# Gluon is an experiment: Triton 3.6 to 3.8 have the names used here, 3.9 has others
AVAILABLE = hasattr(gl.shared_memory_descriptor, "_reinterpret")
WARPS = 4  # of the first warpgroup
WORKER_WARPS = gl.constexpr([4, 1])  # of the second and of the warp that fetches
WORKER_REGISTERS = gl.constexpr([240, 24])
MAXNREG = 168  # for three times 128 threads, as registers are given out
