"""Sampled tokens and their logits in one tensor, so that one copy brings both to the host.

Shape suffixes: R rows of a step, P = 3 R: the ids, two words each, then the logits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def pack(ids_R: Tensor, best_R: Tensor) -> Tensor:
    """`ids_R` is int64, `best_R` float32; int32 [P]."""
    return torch.cat((ids_R.view(torch.int32), best_R.view(torch.int32)))


def unpack(packed_P: Tensor) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """On the host: ids and logits."""
    words_P = packed_P.numpy()
    words_of_ids = len(words_P) // 3 * 2
    return words_P[:words_of_ids].view(np.int64), words_P[words_of_ids:].view(np.float32)
