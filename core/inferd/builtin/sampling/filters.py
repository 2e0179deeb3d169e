"""top-k, top-p and min-p without sorting the vocabulary: over a window of the largest logits.

Semantics are those of inferd.contracts.sampling_ops.

Shape suffixes: N rows, V vocabulary, K window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.builtin.sampling.rows import chunks
from inferd.contracts.sampling_ops import FilterParams

FIRST_WINDOW = 64
GROWTH = 16
TIES = 16  # room for logits equal to the k-th


def first_window(params: FilterParams, logits_NV: Tensor) -> int:
    """Most likely wide enough; wide enough for sure where asking the device would stall it."""
    size = logits_NV.shape[1]
    if params.unbounded and logits_NV.device.type != "cpu":
        return size
    wanted = max(FIRST_WINDOW, params.most_k + TIES)
    return min(size, 1 << (wanted - 1).bit_length())


def candidates(logits_NV: Tensor, params: FilterParams, window: int) -> tuple[Tensor, ...]:
    """Scores [N, K] over temperature, dropped ones -inf; their ids [N, K]; complete [N].

    A row is complete when nothing outside the window could have been kept.
    """
    top_NK, ids_NK = _largest(logits_NV, window)
    peak_N1 = top_NK[:, :1]
    scaled_NK = (top_NK - peak_N1) / params.temperature_N[:, None]
    floor_N1 = params.min_p_N.log()[:, None]  # -inf where min_p is off
    keep_NK = scaled_NK >= floor_N1
    has_k_N = params.top_k_N > 0
    last_N1 = top_NK.gather(1, params.top_k_N.clamp(1, window)[:, None] - 1)
    keep_NK &= (top_NK >= last_N1) | ~has_k_N[:, None]
    mass_NK = scaled_NK.exp().where(keep_NK, 0.0)
    inside_N = mass_NK.sum(dim=-1)
    bounded_N = has_k_N & (top_NK[:, -1] < last_N1[:, 0])
    bounded_N |= (scaled_NK[:, -1] < floor_N1[:, 0]) | (window == logits_NV.shape[1])
    total_N = inside_N
    if params.unbounded:
        total_N = torch.where(bounded_N, inside_N, total_mass(logits_NV, peak_N1, params))
    goal_N = total_N * params.top_p_N
    before_NK = mass_NK.cumsum(dim=-1) - mass_NK
    keep_NK &= (before_NK < goal_N[:, None]) | (params.top_p_N >= 1.0)[:, None]
    above_N = mass_NK.where(top_NK > top_NK[:, -1:], 0.0).sum(dim=-1)
    reached_N = (above_N >= goal_N) & (params.top_p_N < 1.0) & (params.min_p_N == 0.0) & ~has_k_N
    return scaled_NK.masked_fill(~keep_NK, -torch.inf), ids_NK, bounded_N | reached_N


def _largest(logits_NV: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """In falling order, equal ones by id: topk leaves those in an order that its window changes."""
    top_NK, ids_NK = logits_NV.topk(window, dim=-1)
    ids_NK, place_NK = ids_NK.sort(dim=-1)
    top_NK, place_NK = top_NK.gather(1, place_NK).sort(dim=-1, descending=True, stable=True)
    return top_NK.float(), ids_NK.gather(1, place_NK)


def total_mass(logits_NV: Tensor, peak_N1: Tensor, params: FilterParams) -> Tensor:
    """Sum over the vocabulary of exp((logit - peak) / temperature)."""
    return torch.cat(
        [
            (logits_NV[s].float() - peak_N1[s])
            .div_(params.temperature_N[s, None])
            .exp_()
            .sum(dim=-1)
            for s in chunks(logits_NV)
        ]
    )
