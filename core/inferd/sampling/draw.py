"""Gumbel-max: the token with the largest score plus noise is a draw from the softmax.

Shape suffixes: N rows, V vocabulary, K window of candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.sampling.filters import GROWTH, FilterParams, candidates, first_window
from inferd.sampling.noise import Noise
from inferd.sampling.rows import argmax, chunks


def draw(logits_NV: Tensor, temperature_N: Tensor, keys_N2: Tensor, noise: Noise) -> Tensor:
    """Ids [N] drawn over the whole vocabulary."""
    parts = []
    for s in chunks(logits_NV):
        scores_NV = noise.gumbel(keys_N2[s])
        scores_NV.addcdiv_(logits_NV[s], temperature_N[s, None].expand_as(scores_NV))
        parts.append(argmax(scores_NV)[1])
    return torch.cat(parts)


def draw_filtered(
    logits_NV: Tensor, params: FilterParams, keys_N2: Tensor, noise: Noise, window: int = 0
) -> Tensor:
    """Ids [N] drawn among what top_k, top_p and min_p leave."""
    window = window or first_window(params, logits_NV)
    scores_NK, ids_NK, complete_N = candidates(logits_NV, params, window)
    scores_NK += noise.gumbel(keys_N2, ids_NK)
    ids_N = ids_NK.gather(1, scores_NK.argmax(dim=-1, keepdim=True))[:, 0]
    if window == logits_NV.shape[1] or not params.unbounded:
        return ids_N
    rest = (~complete_N).nonzero()[:, 0]  # on CPUs only: elsewhere the window is the vocabulary
    if len(rest):
        wider = min(window * GROWTH, logits_NV.shape[1])
        ids_N[rest] = draw_filtered(logits_NV[rest], params.take(rest), keys_N2[rest], noise, wider)
    return ids_N
