"""PrepareInputs and Embedding: what a step begins with.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.step_ops import StepInputs
from inferd_cpu_numba import runtime
from inferd_cpu_numba.threads import threads_for


class PrepareInputs:
    def __init__(self, compiler: runtime.Compiler) -> None:
        from inferd_cpu_numba.kernels import inputs

        self._tokens = compiler.call(inputs.make_tokens(), inputs.TOKENS)
        self._places = compiler.call(inputs.make_places(), inputs.PLACES)

    def __call__(
        self,
        step_3X: Tensor,
        history_XL: Tensor,
        tables_XB: Sequence[Tensor],
        block_size: int,
        num_tokens: int,
        width: int,
    ) -> StepInputs:
        rows = step_3X.shape[1] - 1
        ids_T, positions_T = (torch.empty(num_tokens, dtype=torch.int64) for _ in range(2))
        starts_R1, contexts_R = (torch.empty(n, dtype=torch.int32) for n in (rows + 1, rows))
        step = step_3X.data_ptr(), rows, step_3X.stride(0)
        outputs = (ids_T, positions_T, starts_R1, contexts_R)
        history = history_XL.data_ptr(), history_XL.shape[1]
        self._tokens(1, *step, *history, *(each.data_ptr() for each in outputs))
        slots_T, taken_RB = [], []
        for table_XB in tables_XB:
            slots_T.append(torch.empty(num_tokens, dtype=torch.int64))
            taken_RB.append(torch.empty((rows, width), dtype=torch.int32))
            places = slots_T[-1].data_ptr(), taken_RB[-1].data_ptr(), width
            table = table_XB.data_ptr(), table_XB.shape[1], block_size
            self._places(1, *step, *table, *places)
        return StepInputs(ids_T, positions_T, starts_R1, contexts_R, slots_T, taken_RB)


class Embedding:
    def __init__(self, compiler: runtime.Compiler) -> None:
        from inferd_cpu_numba.kernels import inputs

        self._call = compiler.call(inputs.make_embedding(), inputs.EMBEDDING)

    def __call__(self, ids_T: Tensor, weight_VD: Tensor) -> Tensor:
        tokens, size = len(ids_T), weight_VD.shape[1] * weight_VD.element_size()
        if size % 8:
            return F.embedding(ids_T, weight_VD)
        out_TD = torch.empty((tokens, weight_VD.shape[1]), dtype=weight_VD.dtype)
        weight, out = weight_VD.data_ptr(), out_TD.data_ptr()
        self._call(threads_for(tokens), ids_T.data_ptr(), tokens, weight, size, out)
        return out_TD
