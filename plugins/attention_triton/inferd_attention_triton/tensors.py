"""The tensors of one attention call.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block,
R rows.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Tensors(NamedTuple):
    q_THE: Tensor
    k_BSGE: Tensor
    v_BSGE: Tensor
    out_THE: Tensor
    tables_RB: Tensor
