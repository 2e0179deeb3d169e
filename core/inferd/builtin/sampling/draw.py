"""Gumbel-max: the token with the largest score plus noise is a draw from the softmax.

Shape suffixes: N rows, V vocabulary, K window of candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.builtin.sampling.filters import GROWTH, candidates, first_window
from inferd.builtin.sampling.noise import Noise, noise_of
from inferd.builtin.sampling.rows import argmax, chunks
from inferd.contracts.sampling_ops import FilterParams


def draw(
    logits_NV: Tensor, temperature_N: Tensor, keys_N: Tensor, positions_N: Tensor
) -> tuple[Tensor, Tensor]:
    noise = noise_of(logits_NV.shape[1], logits_NV.device)
    keys_N2 = noise.position_keys(keys_N, positions_N)
    parts = []
    for s in chunks(logits_NV):
        scores_NV = noise.gumbel(keys_N2[s])
        scores_NV.addcdiv_(logits_NV[s].float(), temperature_N[s, None].expand_as(scores_NV))
        parts.append(argmax(scores_NV)[1])
    return argmax(logits_NV)[0], torch.cat(parts)


def draw_filtered(
    logits_NV: Tensor, params: FilterParams, keys_N: Tensor, positions_N: Tensor
) -> tuple[Tensor, Tensor]:
    noise = noise_of(logits_NV.shape[1], logits_NV.device)
    keys_N2 = noise.position_keys(keys_N, positions_N)
    return argmax(logits_NV)[0], draw_among(logits_NV, params, keys_N2, noise)


def draw_among(
    logits_NV: Tensor, params: FilterParams, keys_N2: Tensor, noise: Noise, window: int = 0
) -> Tensor:
    """Ids [N], from a window of the largest logits that widens for the rows that need it."""
    window = window or first_window(params, logits_NV)
    scores_NK, ids_NK, complete_N = candidates(logits_NV, params, window)
    scores_NK += noise.gumbel(keys_N2, ids_NK)
    ids_N = ids_NK.gather(1, scores_NK.argmax(dim=-1, keepdim=True))[:, 0]
    if window == logits_NV.shape[1] or logits_NV.device.type != "cpu":
        return ids_N
    rest = (~complete_N).nonzero()[:, 0]
    if len(rest):
        wider = min(window * GROWTH, logits_NV.shape[1])
        ids_N[rest] = draw_among(logits_NV[rest], params.take(rest), keys_N2[rest], noise, wider)
    return ids_N
