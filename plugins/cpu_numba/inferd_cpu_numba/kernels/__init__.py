"""Kernels in Python, compiled by LLVM for the CPU at hand. Nothing here imports torch."""
