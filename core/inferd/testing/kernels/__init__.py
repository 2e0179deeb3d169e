"""Testing Triton kernels without a GPU: interpreted on a CPU, and compiled ahead of time.

    interpreter.py   makes bf16 and fp8 right in Triton's interpreter
    aot.py           compiles Variants for an architecture: registers, spills, on-chip memory

Both are needed: the interpreter hides what a compiler refuses, and compiling is not computing.
"""

from __future__ import annotations

from inferd.testing.kernels.aot import Report, compile_variants
from inferd.testing.kernels.variant import Variant

__all__ = ["Report", "Variant", "compile_variants"]
