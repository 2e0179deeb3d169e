"""TorchOps: every op in plain torch, on any device. The reference that tuned ops are held to.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.builtin.experts import reference_experts
from inferd.builtin.sampling import SAMPLING_OPS
from inferd.contracts.ops import Linear, OpProvider, OpRequest
from inferd.contracts.step_ops import StepInputs
from inferd.contracts.verdict import YES, Verdict


def rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """In float32, as the models were trained; rounded once, before the weight."""
    x = x_TD.float()
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return x.to(x_TD.dtype) * weight_D


def add_rms_norm(
    x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    total_TD = x_TD + residual_TD
    return rms_norm(total_TD, weight_D, eps), total_TD


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


def rotate(x_THE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Halves layout: the second half of a head is the imaginary part of the first."""
    first, second = x_THE.chunk(2, dim=-1)
    return torch.cat((first * cos_TE - second * sin_TE, second * cos_TE + first * sin_TE), dim=-1)


def prepare_rope(
    positions_T: Tensor, cos_sin_PE: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """cos and sin of the step's tokens, [T, 1, E / 2]."""
    cos_T1F, sin_T1F = cos_sin_PE[positions_T].to(dtype).unsqueeze(1).chunk(2, dim=-1)
    return cos_T1F, sin_T1F


def rope_kv_write(
    qkv_TXE: Tensor,
    num_heads: int,
    rope: Any,
    k_cache_BSGE: Tensor,
    v_cache_BSGE: Tensor,
    slots_T: Tensor,
    q_norm_E: Tensor | None,
    k_norm_E: Tensor | None,
    eps: float,
    k_scale_G: Tensor | None = None,
    v_scale_G: Tensor | None = None,
) -> Tensor:
    kv_heads = k_cache_BSGE.shape[2]
    q_THE, k_TGE, v_TGE = qkv_TXE.split_with_sizes((num_heads, kv_heads, kv_heads), dim=1)
    if q_norm_E is not None and k_norm_E is not None:
        q_THE, k_TGE = rms_norm(q_THE, q_norm_E, eps), rms_norm(k_TGE, k_norm_E, eps)
    index = (slots_T // k_cache_BSGE.shape[1], slots_T % k_cache_BSGE.shape[1])
    _store(k_cache_BSGE, index, rotate(k_TGE, *rope), k_scale_G)
    _store(v_cache_BSGE, index, v_TGE, v_scale_G)
    q_THE = rotate(q_THE, *rope)
    if k_scale_G is not None:
        q_THE *= k_scale_G.repeat_interleave(num_heads // kv_heads)[:, None]
    return q_THE


def _store(
    cache_BSGE: Tensor, index: tuple[Tensor, Tensor], x_TGE: Tensor, scale_G: Tensor | None
) -> None:
    """To a cache of 8 bits divided by a scale, and limited: beyond its largest number is nan."""
    dtype = cache_BSGE.dtype
    if dtype.itemsize > 1:
        cache_BSGE.index_put_(index, x_TGE.to(dtype))
        return
    most = torch.finfo(dtype).max
    x_TGE = x_TGE.float() if scale_G is None else x_TGE / scale_G[:, None]
    codes_TGE = x_TGE.clamp(-most, most).to(dtype)
    # as bytes, for which torch has everything
    cache_BSGE.view(torch.uint8).index_put_(index, codes_TGE.view(torch.uint8))


def latent_kv_write(
    q_THF: Tensor,
    latent_TZ: Tensor,
    cos_sin_TF: Tensor,
    cache_BS1Z: Tensor,
    slots_T: Tensor,
    norm_K: Tensor,
    eps: float,
) -> Tensor:
    cos_T1F, sin_T1F = cos_sin_TF.to(q_THF.dtype).unsqueeze(1).chunk(2, dim=-1)
    compressed_TK, key_TF = latent_TZ.split_with_sizes((len(norm_K), q_THF.shape[-1]), -1)
    key_T1F = rotate(key_TF.unsqueeze(1), cos_T1F, sin_T1F)
    normed_T1K = rms_norm(compressed_TK, norm_K, eps).unsqueeze(1)
    index = (slots_T // cache_BS1Z.shape[1], slots_T % cache_BS1Z.shape[1])
    stored_T1Z = torch.cat((normed_T1K, key_T1F), dim=-1)
    cache_BS1Z.index_put_(index, stored_T1Z.to(cache_BS1Z.dtype))
    return rotate(q_THF, cos_T1F, sin_T1F)


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
