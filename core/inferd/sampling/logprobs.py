"""Raw log-probabilities: of the chosen token and of the k most likely, with the chosen one's rank.

Only these values leave the device. Raw means before bias, penalties, temperature and filters.

Shape suffixes: N positions, V vocabulary, K most likely, C = K + 1 with the chosen token first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from inferd.types import Logprobs


@dataclass(frozen=True, slots=True)
class LogprobTensors:
    """What the op `top_logprobs` returns."""

    ids_NC: Tensor  # int64
    values_NC: Tensor  # float32
    ranks_N: Tensor  # int64, 1: most likely

    @property
    def tensors(self) -> list[Tensor]:
        return [self.ids_NC, self.values_NC, self.ranks_N]


def to_logprobs(tensors: Sequence[Tensor], wanted: Sequence[int]) -> list[Logprobs]:
    """On the host, from the tensors of a LogprobTensors; `wanted` is each position's own k."""
    ids, values, ranks = (t.tolist() for t in tensors)
    return [Logprobs(ids[i][: k + 1], values[i][: k + 1], ranks[i]) for i, k in enumerate(wanted)]
