"""Rows of random blocks in any of GGUF's formats."""

from __future__ import annotations

import torch

from inferd.layers.gguf_blocks import STORAGE

HALVES = {  # where a block has its float16 numbers
    "q4_0": (0,),
    "q4_1": (0, 2),
    "q5_0": (0,),
    "q5_1": (0, 2),
    "q8_0": (0,),
    "q2_k": (80, 82),
    "q3_k": (108,),
    "q4_k": (0, 2),
    "q5_k": (0, 2),
    "q6_k": (208,),
}


def blocks(
    name: str, rows: int, columns: int, *, seed: int = 6, scale: float = 1.0
) -> torch.Tensor:
    """Random bytes whose float16 numbers are about `scale`."""
    form = STORAGE[f"gguf_{name}"]
    generator = torch.Generator().manual_seed(seed)
    shape = rows * columns // form.num_values, form.num_bytes
    raw = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    for at in HALVES[name]:
        half = (torch.randn(len(raw), 1, generator=generator) * scale).half()
        raw[:, at : at + 2] = half.view(torch.uint8)
    return raw.view(rows, -1)
