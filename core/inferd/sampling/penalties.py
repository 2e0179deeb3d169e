"""Repetition, presence and frequency penalties, read off the token history of each row.

Gathers and scatters over the tokens a row has, not over the vocabulary: no counts are kept. As in
vLLM and transformers, repetition looks at prompt and output, presence and frequency at output only.

Shape suffixes: N rows, V vocabulary, L tokens of history.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PenaltyParams:
    repetition_N: Tensor
    presence_N: Tensor
    frequency_N: Tensor
    prompt_len_N: Tensor  # int64
    ends_N: Tensor  # int64, tokens of history


def apply_penalties(logits_NV: Tensor, history_NL: Tensor, params: PenaltyParams) -> None:
    """In place. `history_NL` holds token ids; what lies past a row's end is ignored."""
    place_L = torch.arange(history_NL.shape[1], device=history_NL.device)
    known_NL = place_L < params.ends_N[:, None]
    output_NL = known_NL & (place_L >= params.prompt_len_N[:, None])
    ids_NL = history_NL.long().where(known_NL, history_NL[:, :1].long())
    _repetition(logits_NV, ids_NL, params.repetition_N)
    amounts_NL = params.frequency_N[:, None].where(output_NL, 0.0)
    logits_NV.scatter_add_(1, ids_NL, -amounts_NL)
    _presence(logits_NV, ids_NL, output_NL, params)


def _repetition(logits_NV: Tensor, ids_NL: Tensor, repetition_N: Tensor) -> None:
    """Equal ids get equal values, so that the order of the scatter does not matter."""
    old_NL = logits_NV.gather(1, ids_NL)
    factor_N1 = repetition_N[:, None]
    logits_NV.scatter_(1, ids_NL, torch.where(old_NL > 0, old_NL / factor_N1, old_NL * factor_N1))


def _presence(logits_NV: Tensor, ids_NL: Tensor, output_NL: Tensor, params: PenaltyParams) -> None:
    """Prompt tokens stand in for the row's first output token; without one, nothing changes."""
    last_N = (params.ends_N - 1).clamp(min=0)
    first_N1 = ids_NL.gather(1, torch.minimum(params.prompt_len_N, last_N)[:, None])
    ids_NL = ids_NL.where(output_NL, first_N1)
    amount_N = params.presence_N.where(params.ends_N > params.prompt_len_N, 0.0)
    logits_NV.scatter_(1, ids_NL, logits_NV.gather(1, ids_NL) - amount_N[:, None])
