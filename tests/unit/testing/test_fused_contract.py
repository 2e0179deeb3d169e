"""OpsContract catches bugs of linears that activate, and of experts that stay packed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from planted import failures, provider

from inferd.builtin import ops_torch as right
from inferd.contracts.ops import GatedLinear
from inferd.layers.gathered import packed_experts
from inferd.testing import OpsContract
from inferd.testing.ops_checks import CHECKS

FORMATS = ("w4_g", "w8_g", "w4_m", "w8_m", "fp8_row", "fp8_block", "int8_row")


class Gated:
    """A linear that also makes silu(gate) * up, or something else."""

    def __init__(self, weight, bias, act=right.ACT_AND_MUL["silu"]):
        self._linear = right.make_linear(weight, bias)
        self.gated = {"silu": GatedLinear(lambda _: True, lambda x: act(self(x)))}

    def __call__(self, x):
        return self._linear(x)


def other_activation(weight, bias):
    return Gated(weight, bias, right.ACT_AND_MUL["gelu"])


def up_first(weight, bias):
    return Gated(weight, bias, lambda x: right.ACT_AND_MUL["silu"](x.roll(x.shape[-1] // 2, -1)))


def by_values(weight, bias):
    return right.make_linear(weight.dequantize(torch.float32), bias)


def experts(**changes: Any):
    """Packed experts with other arguments than those that were given."""
    make = packed_experts(by_values)

    def made(gate_up, down, activation, act, gate_up_bias=None, down_bias=None):
        given = {"gate_up": gate_up, "down": down, "act": act}
        given |= {"gate_up_bias_MN": gate_up_bias, "down_bias_MD": down_bias}
        for name, change in changes.items():
            given[name] = change(given[name])
        return make(given.pop("gate_up"), given.pop("down"), activation, given.pop("act"), **given)

    return {"packed_experts": dict.fromkeys(FORMATS, made)}


def without_order(weights):
    return [replace(w, order_K=None) if hasattr(w, "order_K") else w for w in weights]


def silu_alone(act):
    return right.ACT_AND_MUL["silu"]


def planted(**ops: Any) -> dict[str, str]:
    """What fails in float32, of the checks of these ops."""

    class Contract(OpsContract):
        plugin, provider = "builtin", "torch"

        def implementation(self):
            return provider(**ops)

    return failures(lambda op: Contract().test_agrees_with_the_reference(op, "float32"), CHECKS)


def test_right_ones_pass() -> None:
    assert planted(linear={"dense": Gated}, **experts()) == {}


@pytest.mark.parametrize("linear", [other_activation, up_first])
def test_a_wrong_activation_of_a_linear_fails(linear) -> None:
    assert planted(linear={"dense": linear}).keys() == {"linear"}


@pytest.mark.parametrize(
    "changes",
    [
        {"gate_up": without_order},
        {"down": without_order},
        {"gate_up": lambda weights: [*weights[1:], weights[0]]},
        {"gate_up_bias_MN": lambda _: None},
        {"down_bias_MD": lambda _: None},
        {"act": silu_alone},
    ],
    ids=["order of gate and up", "order of down", "next expert", "bias", "bias of down", "act"],
)
def test_wrong_packed_experts_fail(changes) -> None:
    assert planted(**experts(**changes)).keys() == {"packed_experts"}


def test_experts_of_an_offered_format_may_not_be_declined() -> None:
    declined = {"packed_experts": dict.fromkeys(FORMATS, lambda *_: None)}
    assert planted(**declined).keys() == {"packed_experts"}
