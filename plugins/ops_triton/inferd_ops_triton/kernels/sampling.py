"""The sampler's ops, by their names in Ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inferd_ops_triton.kernels.sampling_filter import draw_filtered
from inferd_ops_triton.kernels.sampling_logprobs import top_logprobs
from inferd_ops_triton.kernels.sampling_pick import argmax, draw


def sampling_ops() -> dict[str, Callable[..., Any]]:
    return {
        "argmax": argmax,
        "draw": draw,
        "draw_filtered": draw_filtered,
        "top_logprobs": top_logprobs,
    }
