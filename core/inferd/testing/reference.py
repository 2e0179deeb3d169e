"""The formulas that implementations are held to, in float64 and without any cleverness.

Shape suffixes: T queries, L keys, H query heads, G KV heads, R = H / G, E head size, F = E / 2,
D hidden, I intermediate, N out features, K in features, X = H + 2 G, Z a latent with the rotated
part of its key, M experts, C of them for a token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def attention(
    q_THE: Tensor,
    k_LGE: Tensor,
    v_LGE: Tensor,
    scale: float,
    window: int | None = None,
    soft_cap: float | None = None,
    alibi_slopes_H: Tensor | None = None,
    sinks_H: Tensor | None = None,
) -> Tensor:
    """One sequence; the queries are the last T of its L tokens. [T, H, E]."""
    queries, keys = len(q_THE), len(k_LGE)
    groups, size = k_LGE.shape[1:]
    q_TGRE = q_THE.double().reshape(queries, groups, -1, size)
    scores_HTL = torch.einsum("tgre,lge->grtl", q_TGRE, k_LGE.double()).flatten(0, 1) * scale
    if soft_cap is not None:
        scores_HTL = torch.tanh(scores_HTL / soft_cap) * soft_cap
    at_T1, key_L = torch.arange(keys - queries, keys).unsqueeze(1), torch.arange(keys)
    if alibi_slopes_H is not None:
        scores_HTL += alibi_slopes_H.double().view(-1, 1, 1) * (key_L - at_T1)
    hidden_TL = key_L > at_T1
    if window is not None:
        hidden_TL |= key_L <= at_T1 - window
    scores_HTL = scores_HTL.masked_fill(hidden_TL, -math.inf)
    if sinks_H is not None:
        sinks_HT1 = sinks_H.double().view(-1, 1, 1).expand(-1, queries, 1)
        scores_HTL = torch.cat((scores_HTL, sinks_HT1), -1)
    weights_HTL = scores_HTL.softmax(-1)[..., :keys]
    weights_GRTL = weights_HTL.reshape(groups, -1, queries, keys)
    return torch.einsum("grtl,lge->tgre", weights_GRTL, v_LGE.double()).flatten(1, 2)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    x = x.double()
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight.double()


def act_and_mul(name: str, x_T2I: Tensor) -> Tensor:
    """`name` is silu, gelu, gelu_tanh or clamped_swiglu."""
    gate_TI, up_TI = x_T2I.double().chunk(2, -1)
    if name == "clamped_swiglu":
        gate_TI, up_TI = gate_TI.clamp(max=7), up_TI.clamp(-7, 7)
        return gate_TI / (1 + (-1.702 * gate_TI).exp()) * (up_TI + 1)
    if name == "silu":
        return gate_TI / (1 + (-gate_TI).exp()) * up_TI
    if name == "gelu":
        return gate_TI * 0.5 * (1 + torch.erf(gate_TI / math.sqrt(2))) * up_TI
    inner_TI = math.sqrt(2 / math.pi) * (gate_TI + 0.044715 * gate_TI**3)
    return gate_TI * 0.5 * (1 + inner_TI.tanh()) * up_TI


def rotate(x_THE: Tensor, cos_TF: Tensor, sin_TF: Tensor) -> Tensor:
    """Halves layout: element i and element i + E / 2 are one complex number."""
    first, second = x_THE.double().chunk(2, -1)
    cos, sin = cos_TF.double().unsqueeze(1), sin_TF.double().unsqueeze(1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def rope(
    qkv_TXE: Tensor,
    num_heads: int,
    norms: Sequence[Tensor | None],
    cos_sin_TE: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v of the fused projection, on the CPU; `norms` are the weights for q and k."""
    kv_heads = (qkv_TXE.shape[1] - num_heads) // 2
    *qk, v_TGE = qkv_TXE.double().split_with_sizes((num_heads, kv_heads, kv_heads), 1)
    normed = (x if w is None else rms_norm(x, w.cpu(), eps) for x, w in zip(qk, norms, strict=True))
    q_THE, k_TGE = (rotate(x, *cos_sin_TE.chunk(2, -1)) for x in normed)
    return q_THE, k_TGE, v_TGE


def latent(latent_TZ: Tensor, norm_K: Tensor, cos_sin_TF: Tensor, eps: float) -> Tensor:
    """What MLA stores of a token: the latent under its norm, then the rotated part of the key."""
    normed_TK = rms_norm(latent_TZ[:, : len(norm_K)], norm_K, eps)
    key_T1F = latent_TZ[:, len(norm_K) :].unsqueeze(1)
    return torch.cat((normed_TK, rotate(key_T1F, *cos_sin_TF.chunk(2, -1))[:, 0]), -1)


def linear(x_TK: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:
    out_TN = x_TK.double() @ weight_NK.double().T
    return out_TN if bias_N is None else out_TN + bias_N.double()


def experts(
    x_TD: Tensor,
    chosen_TC: Tensor,
    weights_TC: Tensor,
    activation: str,
    gate_up: tuple[Tensor, Tensor | None],
    down: tuple[Tensor, Tensor | None],
) -> Tensor:
    """Each token's chosen experts, times their weights; matrices [M, ...] and their biases."""
    out_TD = torch.zeros_like(x_TD, dtype=torch.float64)

    def of(layer: tuple[Tensor, Tensor | None], expert: int) -> tuple[Tensor, Tensor | None]:
        return layer[0][expert], None if layer[1] is None else layer[1][expert]

    for token, (chosen, weights) in enumerate(zip(chosen_TC.tolist(), weights_TC, strict=True)):
        for expert, weight in zip(chosen, weights.double(), strict=True):
            both = linear(x_TD[token : token + 1], *of(gate_up, expert))
            inner = act_and_mul(activation, both)
            out_TD[token] += weight * linear(inner, *of(down, expert))[0]
    return out_TD
