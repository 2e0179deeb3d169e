"""Variant: one specialisation of a kernel, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Variant:
    """`signature` and `constexprs` together name every argument of the kernel.

    The kernel is Triton's or Gluon's, and so are types: "*bf16", "*fp8e4nv", "*i32", "i32", "i64",
    "fp32", "tensordesc<bf16[1, 16, 64],LAYOUT>". Pointers are taken to be aligned, as torch
    allocates them; of the integers, those in `aligned` are multiples of 16.
    """

    kernel: str  # "module:attr"
    signature: Mapping[str, str]
    constexprs: Mapping[str, int | float | bool | str | None]
    num_warps: int = 4
    num_stages: int = 3
    name: str = ""
    aligned: tuple[str, ...] = field(default=())
    maxnreg: int | None = None  # registers of a thread, where the kernel gives them out
