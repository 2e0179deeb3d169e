"""Late compilation: a kernel that is compiled after the warm-up makes a request wait."""

from __future__ import annotations

import sys
from typing import Any

from triton import knobs

late: list[str] = []  # what was compiled since `watch`


def watch() -> None:
    """Tell standard error of every compilation in this process from now on."""
    late.clear()
    knobs.runtime.jit_post_compile_hook = _tell


def _tell(*, repr: str, is_manual_warmup: bool, **_: Any) -> None:  # noqa: A002 - Triton's name
    if is_manual_warmup:
        return
    late.append(repr)
    print(
        f"inferd: a kernel was compiled while serving, and a request waited for it: {repr[:200]}\n"
        "  this is a defect of the warm-up: please report it with the model and the flags",
        file=sys.stderr,
    )
