"""TorchOps: every op in plain torch, on any device. The reference that tuned ops are held to.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.builtin.experts import reference_experts
from inferd.builtin.norm_torch import add_rms_norm, rms_norm
from inferd.builtin.rope_torch import latent_kv_write, prepare_rope, rope_kv_write
from inferd.builtin.sampling import SAMPLING_OPS
from inferd.contracts.ops import Linear, OpProvider, OpRequest
from inferd.contracts.step_ops import StepInputs
from inferd.contracts.verdict import YES, Verdict


def silu_and_mul(x_T2I: Tensor) -> Tensor:
    gate_TI, up_TI = x_T2I.chunk(2, dim=-1)
    return F.silu(gate_TI) * up_TI


def gelu_and_mul(x_T2I: Tensor) -> Tensor:
    gate_TI, up_TI = x_T2I.chunk(2, dim=-1)
    return F.gelu(gate_TI) * up_TI


def gelu_tanh_and_mul(x_T2I: Tensor) -> Tensor:
    gate_TI, up_TI = x_T2I.chunk(2, dim=-1)
    return F.gelu(gate_TI, approximate="tanh") * up_TI


def clamped_swiglu(x_T2I: Tensor) -> Tensor:
    """gpt-oss: (up + 1) * gate * sigmoid(1.702 gate), of numbers that are clamped to 7."""
    gate_TI, up_TI = x_T2I.chunk(2, dim=-1)
    gate_TI, up_TI = gate_TI.clamp(max=7.0), up_TI.clamp(-7.0, 7.0)
    return (up_TI + 1) * gate_TI * torch.sigmoid(gate_TI * 1.702)


def embedding(ids_T: Tensor, weight_VD: Tensor) -> Tensor:
    return F.embedding(ids_T, weight_VD)


def prepare_inputs(
    step_3X: Tensor,
    history_XL: Tensor,
    tables_XB: Sequence[Tensor],
    block_size: int,
    num_tokens: int,
    width: int,
) -> StepInputs:
    rows_R, starts_R, ends_R = step_3X[0, :-1], step_3X[1, :-1], step_3X[2, 1:]
    query_starts_R1 = step_3X[2].to(torch.int32)
    if num_tokens == len(rows_R):
        rows_T, positions_T, contexts_R = rows_R, starts_R, starts_R + 1
    else:
        counts_R = ends_R - step_3X[2, :-1]
        place_T = torch.repeat_interleave(counts_R, output_size=num_tokens)
        contexts_R = starts_R + counts_R
        rows_T = rows_R[place_T]
        token_T = torch.arange(num_tokens, device=step_3X.device)
        positions_T = token_T + (contexts_R - ends_R)[place_T]
    block_T = positions_T // block_size
    offset_T = positions_T - block_T * block_size
    return StepInputs(
        ids_T=_entries(history_XL, rows_T, positions_T).long(),
        positions_T=positions_T,
        query_starts_R1=query_starts_R1,
        contexts_R=contexts_R.to(torch.int32),
        slots_T=[_entries(t, rows_T, block_T) * block_size + offset_T for t in tables_XB],
        block_tables_RB=[table_XB[:, :width].index_select(0, rows_R) for table_XB in tables_XB],
    )


def _entries(columns_XL: Tensor, rows_T: Tensor, places_T: Tensor) -> Tensor:
    return columns_XL.view(-1)[rows_T * columns_XL.shape[1] + places_T]


def make_linear(weight_NK: Tensor, bias_N: Tensor | None) -> Linear:
    def linear(x_TK: Tensor) -> Tensor:
        return F.linear(x_TK, weight_NK, bias_N)

    return linear


ACT_AND_MUL = {
    "silu": silu_and_mul,
    "gelu": gelu_and_mul,
    "gelu_tanh": gelu_tanh_and_mul,
    "clamped_swiglu": clamped_swiglu,
}


class TorchOps(OpProvider):
    """Offers everything."""

    name = "torch"

    @classmethod
    def supports(cls, request: OpRequest) -> Verdict:  # noqa: ARG003
        return YES

    def ops(self, request: OpRequest) -> Mapping[str, object]:  # noqa: ARG002
        return {
            "rms_norm": rms_norm,
            "add_rms_norm": add_rms_norm,
            "act_and_mul": ACT_AND_MUL,
            "embedding": embedding,
            "prepare_rope": prepare_rope,
            "rope_kv_write": rope_kv_write,
            "latent_kv_write": latent_kv_write,
            "prepare_inputs": prepare_inputs,
            "linear": {"dense": make_linear},
            "experts": {"dense": reference_experts(ACT_AND_MUL)},
            "packed_experts": {},
            **SAMPLING_OPS,
        }
