"""humming-kernels (PyPI), a library of CUDA kernels for such weights, to be measured beside."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


@cache
def linears(size: int, inner: int, group: int, count: int) -> list[Callable[[Tensor], Tensor]]:
    """`count` linears of random weights in bfloat16; raises SystemExit if it is not installed."""
    try:
        from humming.layer import HummingLayer
    except ImportError as error:
        raise SystemExit(f"--yardstick needs humming-kernels: {error}") from error
    made = []
    for _ in range(count):
        config = {"dtype": "uint4", "group_size": group}
        layer = HummingLayer(
            shape_n=size, shape_k=inner, weight_config=config, torch_dtype=torch.bfloat16
        ).cuda()
        words = torch.randint(-(2**31), 2**31, (size, inner // 8), device="cuda")
        scales = (torch.rand(size, inner // group, device="cuda") * 0.01).bfloat16()
        layer.load_from_tensors({"weight": words.int(), "weight_scale": scales})
        layer.transform()
        made.append(layer)
    return made
