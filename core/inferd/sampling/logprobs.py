"""Raw log-probabilities: of the chosen token and of the k most likely, with the chosen one's rank.

Only these values leave the device. Raw means before bias, penalties, temperature and filters.

Shape suffixes: N positions, V vocabulary, K most likely, C = K + 1 with the chosen token first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.sampling.rows import chunks
from inferd.types import Logprobs


@dataclass(frozen=True, slots=True)
class LogprobTensors:
    ids_NC: Tensor  # int64
    values_NC: Tensor  # float32
    ranks_N: Tensor  # int64, 1: most likely

    @property
    def tensors(self) -> list[Tensor]:
        return [self.ids_NC, self.values_NC, self.ranks_N]


def logprobs_of(logits_NV: Tensor, chosen_N: Tensor, most: int) -> LogprobTensors:
    """`most` is the largest k of the rows."""
    parts = [_part(logits_NV[s], chosen_N[s, None], most) for s in chunks(logits_NV)]
    ids, values, ranks = zip(*parts, strict=True)
    return LogprobTensors(torch.cat(ids), torch.cat(values), torch.cat(ranks))


def _part(logits_NV: Tensor, chosen_N1: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    top = logits_NV.topk(most, dim=-1)
    mine_N1 = logits_NV.gather(1, chosen_N1)
    total_N1 = logits_NV.logsumexp(dim=-1, keepdim=True)
    values_NC = torch.cat((mine_N1, top.values), dim=1) - total_N1
    ranks_N = (logits_NV > mine_N1).sum(dim=-1) + 1
    return torch.cat((chosen_N1, top.indices), dim=1), values_NC, ranks_N


def to_logprobs(tensors: Sequence[Tensor], wanted: Sequence[int]) -> list[Logprobs]:
    """On the host, from the tensors of a LogprobTensors; `wanted` is each position's own k."""
    ids, values, ranks = (t.tolist() for t in tensors)
    return [Logprobs(ids[i][: k + 1], values[i][: k + 1], ranks[i]) for i, k in enumerate(wanted)]
