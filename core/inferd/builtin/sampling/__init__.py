"""The sampler's ops in plain torch: the reference, and what CPUs run."""

from __future__ import annotations

from inferd.builtin.sampling.draw import draw, draw_filtered
from inferd.builtin.sampling.logprobs import top_logprobs
from inferd.builtin.sampling.mask import mask
from inferd.builtin.sampling.rows import argmax

SAMPLING_OPS = {
    "mask": mask,
    "argmax": argmax,
    "draw": draw,
    "draw_filtered": draw_filtered,
    "top_logprobs": top_logprobs,
}
