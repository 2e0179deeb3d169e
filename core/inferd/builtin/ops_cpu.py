"""CpuOps: what oneDNN and few calls make of a transformer layer on a CPU.

At 135M parameters half of a decode step can be the overhead of calls, so each op here is as few of
them as possible. Figures: 2 cores of an
AMD EPYC with AVX-512 bf16, torch 2.13, one token, 2026-11-24.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.builtin import ops_torch
from inferd.builtin.experts import gathered_experts
from inferd.builtin.packed_cpu import packed_makers
from inferd.contracts.ops import Linear, OpProvider, OpRequest
from inferd.contracts.verdict import YES, Verdict, no
from inferd.layers.gathered import packed_experts

FEW = 64  # rows up to which the number of calls decides


def rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """layer_norm of (x, -x), whose mean is zero and whose variance is the mean square.

    One token of 576: 4.6 us where F.rms_norm, a composite on CPUs, takes 9.7. Many: see there.
    """
    size = x_TD.shape[-1]
    if x_TD.numel() > FEW * size:
        return _norm_many(x_TD, weight_D, eps)
    doubled, weight = torch.cat((x_TD, x_TD.neg()), -1), torch.cat((weight_D, weight_D))
    return torch.layer_norm(doubled, (2 * size,), weight, None, eps)[..., :size]


def _norm_many(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """512 tokens: 71 us; layer_norm of (x, -x) 115, F.rms_norm 79 (204 inside a model)."""
    x = x_TD.float()
    scale_T1 = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale_T1.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    out_TD: Tensor = (x * scale_T1).to(x_TD.dtype)
    return out_TD.mul_(weight_D)


def add_rms_norm(
    x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    total_TD = x_TD.add_(residual_TD)
    return rms_norm(total_TD, weight_D, eps), total_TD


def silu_and_mul(x_T2I: Tensor) -> Tensor:
    gate_TI, up_TI = x_T2I.chunk(2, dim=-1)
    return F.silu(gate_TI).mul_(up_TI)


def prepare_rope(
    positions_T: Tensor, cos_sin_PE: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """(cos, cos) and (-sin, sin), [T, 1, E]: a rotation is then x cos + roll(x) sin."""
    cos_TF, sin_TF = cos_sin_PE.index_select(0, positions_T).chunk(2, dim=-1)
    cos_T1E = torch.cat((cos_TF, cos_TF), -1).to(dtype).unsqueeze(1)
    sin_T1E = torch.cat((-sin_TF, sin_TF), -1).to(dtype).unsqueeze(1)
    return cos_T1E, sin_T1E


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
) -> Tensor:
    cos_T1E, sin_T1E = rope
    both = num_heads + k_cache_BSGE.shape[2]
    qk_TXE = qkv_TXE[:, :both]
    if q_norm_E is not None and k_norm_E is not None:
        q_THE = rms_norm(qk_TXE[:, :num_heads], q_norm_E, eps)
        qk_TXE = torch.cat((q_THE, rms_norm(qk_TXE[:, num_heads:], k_norm_E, eps)), 1)
    half = qk_TXE.shape[-1] // 2
    turned_TXE = torch.addcmul(qk_TXE * cos_T1E, qk_TXE.roll(half, -1), sin_T1E)
    _store(k_cache_BSGE, slots_T, turned_TXE[:, num_heads:])
    _store(v_cache_BSGE, slots_T, qkv_TXE[:, both:])
    return turned_TXE[:, :num_heads]


def _store(cache_BSGE: Tensor, slots_T: Tensor, value_TGE: Tensor) -> None:
    """In one copy, whether a token's heads lie together or each head's tokens do."""
    blocks, size, heads, width = cache_BSGE.shape
    if cache_BSGE.is_contiguous():
        cache_BSGE.view(blocks * size, heads, width).index_copy_(0, slots_T, value_TGE)
        return
    heads_first = cache_BSGE.permute(2, 0, 1, 3).view(heads, blocks * size, width)
    heads_first.index_copy_(1, slots_T, value_TGE.transpose(0, 1))


def make_linear(weight_NK: Tensor, bias_N: Tensor | None) -> Linear:
    """The weight is packed once for oneDNN, which otherwise repacks it at every call."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight_NK)
    product = torch.ops.mkldnn._linear_pointwise

    def linear(x_TK: Tensor) -> Tensor:
        out: Tensor = product(x_TK, packed, bias_N, "none", [], "")
        return out

    return linear


ACT_AND_MUL = {**ops_torch.ACT_AND_MUL, "silu": silu_and_mul}


class CpuOps(OpProvider):
    """bfloat16 and float32; the rest comes from the reference."""

    name = "cpu"

    @classmethod
    def supports(cls, request: OpRequest) -> Verdict:
        if request.platform != "cpu":
            return no(f"made for CPUs, this is {request.platform}")
        if request.dtype not in (torch.bfloat16, torch.float32):
            return no(f"packs bfloat16 and float32 weights, not {request.dtype}")
        return YES

    def ops(self, request: OpRequest) -> Mapping[str, object]:
        rope = {"prepare_rope": prepare_rope, "rope_kv_write": rope_kv_write}
        packed = packed_makers(request.dtype, make_linear)
        return {
            "rms_norm": rms_norm,
            "add_rms_norm": add_rms_norm,
            "act_and_mul": {"silu": silu_and_mul},
            **(rope if request.kv_dtype is None else {}),
            "linear": {"dense": make_linear, **packed},
            "experts": {"dense": gathered_experts(ACT_AND_MUL, make_linear)},
            "packed_experts": {name: packed_experts(make) for name, make in packed.items()},
        }
