"""Log-probabilities of the chosen token and of the k most likely, with the chosen one's rank.

Shape suffixes: N positions, V vocabulary, K most likely, C = K + 1 with the chosen token first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.builtin.sampling.rows import chunks


def top_logprobs(logits_NV: Tensor, chosen_N: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    parts = [_part(logits_NV[s].float(), chosen_N[s, None], most) for s in chunks(logits_NV)]
    ids, values, ranks = zip(*parts, strict=True)
    return torch.cat(ids), torch.cat(values), torch.cat(ranks)


def _part(logits_NV: Tensor, chosen_N1: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    top = logits_NV.topk(most, dim=-1)
    mine_N1 = logits_NV.gather(1, chosen_N1)
    total_N1 = logits_NV.logsumexp(dim=-1, keepdim=True)
    values_NC = torch.cat((mine_N1, top.values), dim=1) - total_N1
    ranks_N = (logits_NV > mine_N1).sum(dim=-1) + 1
    return torch.cat((chosen_N1, top.indices), dim=1), values_NC, ranks_N
