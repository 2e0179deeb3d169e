"""One check per op of OpsContract: inputs that tell right from wrong, against the reference.

Shape suffixes as in inferd.contracts.ops; F = E / 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from inferd.testing import reference
from inferd.testing.draw import EPS, TOKENS, Draw
from inferd.testing.input_checks import prepare_inputs
from inferd.testing.numbers import check_close
from inferd.testing.packed_checks import PACKED, SCALED, grouped_linear, scaled_linear
from inferd.testing.packed_experts_checks import packed_experts
from inferd.testing.rope_checks import ROPE_CHECKS
from inferd.testing.sampling_checks import SAMPLING_CHECKS

Offer = Mapping[str, Any]  # what OpProvider.ops returns
ACTIVATIONS = {"silu", "gelu", "gelu_tanh", "clamped_swiglu"}
Check = Callable[[Offer, str, torch.device], None]  # offer, dtype, device


def offered(op: str, ops: Offer) -> bool:
    """Whether there is something to check."""
    if op == "grouped_linear":
        return any(name in ops.get("linear", ()) for name in PACKED)
    if op == "scaled_linear":
        return any(name in ops.get("linear", ()) for name in SCALED)
    if op == "packed_experts":
        return bool(ops.get(op))
    op = op.removeprefix("biased_")
    if op in ("linear", "act_and_mul", "experts"):
        return bool(set(ops.get(op, ())) & {"dense", *ACTIVATIONS})
    names = {"rope": "rope_kv_write", "rope_with_qk_norm": "rope_kv_write"}
    return {**names, "latent": "latent_kv_write"}.get(op, op) in ops


def rms_norm(ops: Offer, dtype: str, device: torch.device) -> None:
    """Over hidden states, over heads [T, H, E], over a slice of wider rows; x stays as it was."""
    draw = Draw(dtype, device)
    for tokens in TOKENS:
        inputs = [draw(tokens, 96, shift=0.5), draw(tokens, 3, 16), draw(tokens, 5, 16)[:, 1:3]]
        for x in (*inputs, draw(tokens, 576, scale=0.1)):
            before, weight_D = x.clone(), draw(x.shape[-1], scale=0.4, shift=1.2)
            found = ops["rms_norm"](x, weight_D, EPS)
            expected = reference.rms_norm(before.cpu(), weight_D.cpu(), EPS)
            check_close(f"rms_norm of {list(x.shape)}", found, expected, dtype)
            assert torch.equal(x, before), "rms_norm changes its input, which is the residual"


def add_rms_norm(ops: Offer, dtype: str, device: torch.device) -> None:
    draw = Draw(dtype, device)
    for tokens in TOKENS:
        x_TD, residual_TD = draw(tokens, 96, shift=0.5), draw(tokens, 96)
        weight_D = draw(96, scale=0.4, shift=1.2)
        total_TD = x_TD.cpu() + residual_TD.cpu()
        normed_TD, sum_TD = ops["add_rms_norm"](x_TD, residual_TD, weight_D, EPS)
        expected_TD = reference.rms_norm(total_TD, weight_D.cpu(), EPS)
        check_close(f"add_rms_norm of {tokens} tokens", normed_TD, expected_TD, dtype)
        check_close(f"the sum of add_rms_norm of {tokens} tokens", sum_TD, total_TD, dtype)


def act_and_mul(ops: Offer, dtype: str, device: torch.device) -> None:
    draw = Draw(dtype, device)
    known = set(ops["act_and_mul"]) & ACTIVATIONS
    for name in sorted(known):
        for tokens in TOKENS:
            x_T2I = draw(tokens, 2 * 40, scale=2.0)
            expected_TI = reference.act_and_mul(name, x_T2I.cpu())
            found_TI = ops["act_and_mul"][name](x_T2I.clone())
            check_close(f"{name} of {tokens} tokens", found_TI, expected_TI, dtype)


def embedding(ops: Offer, dtype: str, device: torch.device) -> None:
    weight_VD = Draw(dtype, device)(50, 24)
    for ids in ([49], [3, 0, 3, 49, 17]):
        ids_T = torch.tensor(ids, device=device)
        found_TD = ops["embedding"](ids_T, weight_VD)
        check_close(f"embedding of {ids}", found_TD, weight_VD.cpu()[ids], dtype)


def linear(ops: Offer, dtype: str, device: torch.device) -> None:
    draw = Draw(dtype, device)
    for out, size in ((1, 8), (32, 40), (130, 33)):
        for bias_N in (None, draw(out, scale=2.0)):
            weight_NK = draw(out, size, scale=size**-0.5)
            expected_weight, apply = weight_NK.cpu(), ops["linear"]["dense"](weight_NK, bias_N)
            for tokens in TOKENS:
                x_TK = draw(tokens, size)
                bias = None if bias_N is None else bias_N.cpu()
                expected_TN = reference.linear(x_TK.cpu(), expected_weight, bias)
                what = f"linear [{out}, {size}] of {tokens} tokens, bias {bias is not None}"
                check_close(what, apply(x_TK), expected_TN, dtype)
                halves = getattr(apply, "gated", {}) if out % 2 == 0 else {}
                for act, gated in halves.items():
                    expected_TI = reference.act_and_mul(act, expected_TN)
                    check_close(f"{act} of {what}", gated.multiply(x_TK), expected_TI, dtype)


def experts(ops: Offer, dtype: str, device: torch.device) -> None:
    _experts(ops, dtype, device, "silu", biased=False)


def biased_experts(ops: Offer, dtype: str, device: torch.device) -> None:
    _experts(ops, dtype, device, "clamped_swiglu", biased=True)


def _experts(
    ops: Offer, dtype: str, device: torch.device, activation: str, *, biased: bool
) -> None:
    """Some experts are chosen by many tokens, the last one by none."""
    draw = Draw(dtype, device)
    weights = draw(5, 2 * 40, 96, scale=0.1), draw(5, 96, 40, scale=0.16)
    biases = (draw(5, 2 * 40), draw(5, 96)) if biased else (None, None)
    gate_up, down = (
        (weight.cpu(), None if bias is None else bias.cpu())
        for weight, bias in zip(weights, biases, strict=True)
    )
    apply = ops["experts"]["dense"](*weights, activation, *biases)
    for tokens in TOKENS:
        x_TD = draw(tokens, 96)
        chosen_TC = draw(tokens, 4, shift=0.5).float().argsort(1)[:, :2]
        weights_TC = draw(tokens, 2, scale=0.2, shift=0.5)
        expected_TD = reference.experts(
            x_TD.cpu(), chosen_TC.cpu(), weights_TC.cpu(), activation, gate_up, down
        )
        found_TD = apply(x_TD, chosen_TC, weights_TC)
        check_close(f"experts of {tokens} tokens", found_TD, expected_TD, dtype)


CHECKS: dict[str, Check] = {
    "rms_norm": rms_norm,
    "add_rms_norm": add_rms_norm,
    "act_and_mul": act_and_mul,
    "embedding": embedding,
    "linear": linear,
    "grouped_linear": grouped_linear,
    "scaled_linear": scaled_linear,
    "experts": experts,
    "biased_experts": biased_experts,
    "packed_experts": packed_experts,
    **ROPE_CHECKS,
    "prepare_inputs": prepare_inputs,
    **SAMPLING_CHECKS,
}
