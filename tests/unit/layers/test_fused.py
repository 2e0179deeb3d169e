"""A linear may ask the op before it for something else than a tensor, or do the one after it."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from inferd.contracts.ops import GatedLinear
from inferd.layers import ActAndMul, LinearLayer, RMSNorm


class Rounded(SimpleNamespace):
    """What only the linear understands."""


class Linear:
    fused = {
        "rms_norm": lambda x, weight, eps: Rounded(of="norm", x=x),
        "add_rms_norm": lambda x, residual, weight, eps: (Rounded(of="both", x=x), x + residual),
        "silu": lambda x: Rounded(of="silu", x=x),
    }

    def __call__(self, x: Tensor | Rounded) -> str:
        return "a tensor" if isinstance(x, Tensor) else x.of


class Method:
    num_bytes = None

    def __init__(self, linear) -> None:
        self._linear = linear

    def finish(self):
        return self._linear


def build(linear) -> SimpleNamespace:
    ops = SimpleNamespace(
        rms_norm=lambda x, weight, eps: x,
        add_rms_norm=lambda x, residual, weight, eps: (x, residual),
        act_and_mul={"silu": lambda x: x, "gelu": lambda x: x},
    )
    return SimpleNamespace(
        config=SimpleNamespace(dtype=torch.float32),
        device=torch.device("cpu"),
        ops=ops,
        quantization=SimpleNamespace(create=lambda spec, ops: Method(linear)),
        stored_names=lambda name: (name,),
    )


def test_what_feeds_a_linear_makes_what_it_wants() -> None:
    made, x_TD = build(Linear()), torch.ones(2, 4)
    for feeder, arguments, expected in [
        (RMSNorm(4, 1e-5, made), (x_TD,), "norm"),
        (RMSNorm(4, 1e-5, made), (x_TD, x_TD), "both"),
        (ActAndMul("silu", made), (x_TD,), "silu"),
        (ActAndMul("gelu", made), (x_TD,), "a tensor"),
    ]:
        linear = LinearLayer("proj", 4, [4], made)
        linear.fed_by(feeder)
        linear.finish()
        found = feeder(*arguments)
        assert linear(found[0] if isinstance(feeder, RMSNorm) else found) == expected


def test_others_go_on_with_tensors() -> None:
    made = build(lambda x: "a tensor" if isinstance(x, Tensor) else "something else")
    norm, linear = RMSNorm(4, 1e-5, made), LinearLayer("proj", 4, [4], made)
    linear.fed_by(norm)
    linear.finish()
    assert len(dict(linear.named_modules())) == 1
    assert linear(norm(torch.ones(2, 4))[0]) == "a tensor"


class Gated:
    gated = {"silu": GatedLinear(lambda tokens: tokens > 2, lambda x: f"one kernel of {len(x)}")}

    def __call__(self, x: Tensor) -> Tensor:
        return 2 * x


def test_an_activation_is_done_with_the_linear_before_it_where_that_suits() -> None:
    made = build(Gated())
    linear = LinearLayer("gate_up_proj", 4, [4, 4], made)
    linear.finish()
    silu, gelu = ActAndMul("silu", made), ActAndMul("gelu", made)
    assert linear.activated(torch.ones(3, 4), silu) == "one kernel of 3"
    for x_TD, act in ((torch.ones(2, 4), silu), (torch.ones(3, 4), gelu)):
        assert torch.equal(linear.activated(x_TD, act), 2 * x_TD)


def test_an_activation_that_rounds_for_its_reader_stays_an_op_of_its_own() -> None:
    made = build(Gated())
    linear = LinearLayer("gate_up_proj", 4, [4, 4], made)
    linear.finish()
    reader, act = LinearLayer("down_proj", 4, [4], build(Linear())), ActAndMul("silu", made)
    reader.fed_by(act)
    reader.finish()
    assert linear.activated(torch.ones(3, 4), act).of == "silu"
