"""OpsContract catches planted bugs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from planted import failures, provider

from inferd.builtin import ops_torch as right
from inferd.builtin.experts import reference_experts
from inferd.contracts.verdict import YES, no
from inferd.contracts.weight_formats import GROUPED_BITS, MINIMUM_BITS
from inferd.testing import OpsContract
from inferd.testing.ops_checks import CHECKS


def norm_without_eps(x, weight, eps):
    return right.rms_norm(x, weight, 0.0)


def norm_in_place(x, weight, eps):
    return x.copy_(right.rms_norm(x, weight, eps))


def norm_around_the_mean(x, weight, eps):
    return F.layer_norm(x, x.shape[-1:], weight, None, eps)


def add_norm_without_sum(x, residual, weight, eps):
    return right.add_rms_norm(x, residual, weight, eps)[0], x


def halves_swapped(x):
    gate, up = x.chunk(2, -1)
    return F.silu(up) * gate


def gelu_with_tanh(x):
    return right.gelu_tanh_and_mul(x) * 1.03


def interleaved_rotation(qkv, heads, rope, *rest):
    order = torch.arange(qkv.shape[-1]).view(2, -1).T.reshape(-1)
    return right.rope_kv_write(qkv[..., order], heads, rope, *rest)


def no_qk_norm(qkv, heads, rope, k_cache, v_cache, slots, q_norm, k_norm, eps):
    return right.rope_kv_write(qkv, heads, rope, k_cache, v_cache, slots, None, None, eps)


def norms_swapped(qkv, heads, rope, k_cache, v_cache, slots, q_norm, k_norm, eps):
    return right.rope_kv_write(qkv, heads, rope, k_cache, v_cache, slots, k_norm, q_norm, eps)


def writes_a_neighbour_too(qkv, heads, rope, k_cache, v_cache, slots, *rest):
    k_cache[0, 0] = 0
    return right.rope_kv_write(qkv, heads, rope, k_cache, v_cache, slots, *rest)


def next_positions(positions, cos_sin, dtype):
    return right.prepare_rope((positions + 1) % len(cos_sin), cos_sin, dtype)


def linear_without_bias(weight, bias):
    return right.make_linear(weight, None)


def experts_of_equal_weight(*weights):
    make = reference_experts(right.ACT_AND_MUL)(*weights)
    return lambda x, chosen, weights: make(x, chosen, torch.full_like(weights, 0.5))


def experts_without_biases(gate_up, down, activation, *_):
    return reference_experts(right.ACT_AND_MUL)(gate_up, down, activation)


def latent_without_norm(q, latent, angles, cache, slots, norm, eps):
    return right.latent_kv_write(q, latent, angles, cache, slots, torch.ones_like(norm), eps)


def packed(name, wrong):
    """Multiplies by another weight than the one it is given."""

    def make(weight, bias):
        return right.make_linear(wrong(weight).dequantize(torch.float32), bias)

    return provider(linear={name: make})


def without_order(weight):
    return replace(weight, order_K=None)


def next_zeros(weight):
    return weight if weight.zeros_NG is None else replace(weight, zeros_NG=weight.zeros_NG + 1)


def middle_for_zeros(weight):
    return replace(weight, zeros_NG=None)


def scales_of_the_next_group(weight):
    return replace(weight, scales_NG=weight.scales_NG.roll(1, 1))


def scales_of_the_next_row(weight):
    return replace(weight, scales_NG=weight.scales_NG.roll(1, 0))


def without_minima(weight):
    return replace(weight, minima_NG=torch.zeros_like(weight.minima_NG))


def without_outliers(weight):
    places = weight.outliers
    return replace(weight, outliers=replace(places, values_E=torch.zeros_like(places.values_E)))


def packed_without_bias(weight, bias):
    return right.make_linear(weight.dequantize(torch.float32), None)


def x_in_one_piece(weight, bias):
    linear = right.make_linear(weight.dequantize(torch.float32), bias)
    return lambda x: linear(x.as_strided(x.shape, (x.shape[1], 1)))


def rope(**ops):
    both = {"prepare_rope": right.prepare_rope, "rope_kv_write": right.rope_kv_write}
    return provider(**both | ops)


class Planted(OpsContract):
    plugin = "builtin"
    provider = "torch"

    def __init__(self, kind, cannot=frozenset()):
        self._kind = kind
        self.cannot = cannot

    def implementation(self):
        return self._kind


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("rms_norm", provider(rms_norm=norm_without_eps)),
        ("rms_norm", provider(rms_norm=norm_in_place)),
        ("rms_norm", provider(rms_norm=norm_around_the_mean)),
        ("add_rms_norm", provider(add_rms_norm=add_norm_without_sum)),
        ("act_and_mul", provider(act_and_mul={"silu": halves_swapped})),
        ("act_and_mul", provider(act_and_mul={"gelu": gelu_with_tanh})),
        ("embedding", provider(embedding=lambda ids, weight: weight[ids - 1])),
        ("linear", provider(linear={"dense": linear_without_bias})),
        *(
            ("grouped_linear", packed(f"w{bits}_g", wrong))
            for bits in GROUPED_BITS
            for wrong in (next_zeros, middle_for_zeros, scales_of_the_next_row)
        ),
        *(("grouped_linear", packed(f"w{bits}_g", without_order)) for bits in (2, 3, 4)),
        *(("grouped_linear", packed(f"w{bits}_m", without_minima)) for bits in MINIMUM_BITS),
        ("grouped_linear", packed("w4_g", scales_of_the_next_group)),
        ("grouped_linear", packed("w8_g", scales_of_the_next_group)),
        ("grouped_linear", packed("w4_lut", without_outliers)),
        ("grouped_linear", provider(linear={"w8_m": packed_without_bias})),
        ("grouped_linear", provider(linear={"w4_m": x_in_one_piece})),
        ("experts", provider(experts={"dense": experts_of_equal_weight})),
        ("biased_experts", provider(experts={"dense": experts_without_biases})),
        ("latent", provider(latent_kv_write=latent_without_norm)),
        ("rope", rope(rope_kv_write=interleaved_rotation)),
        ("rope", rope(rope_kv_write=writes_a_neighbour_too)),
        ("rope", rope(prepare_rope=next_positions)),
        ("rope_with_qk_norm", rope(rope_kv_write=no_qk_norm)),
        ("rope_with_qk_norm", rope(rope_kv_write=norms_swapped)),
    ],
)
def test_a_wrong_op_fails(op, kind):
    contract = Planted(kind)
    found = failures(lambda op: contract.test_agrees_with_the_reference(op, "float32"), CHECKS)
    assert op in found
    assert found.keys() <= {op, "rope_with_qk_norm", "biased_experts"}


def test_an_op_that_is_not_a_field_is_refused():
    with pytest.raises(AssertionError, match="rms_nrom"):
        Planted(provider(rms_nrom=right.rms_norm)).test_offers_ops_that_exist()


def test_half_of_the_rope_pair_is_refused():
    with pytest.raises(AssertionError, match="only the other understands"):
        Planted(provider(prepare_rope=right.prepare_rope)).test_offers_ops_that_exist()


def test_a_refused_dtype_must_be_declared_and_a_declared_one_refused():
    class NoHalf(provider(rms_norm=right.rms_norm)):
        @classmethod
        def supports(cls, request):
            return no("no half") if request.dtype is torch.float16 else YES

    Planted(NoHalf, {"float16"}).test_agrees_with_the_reference("rms_norm", "float16")
    with pytest.raises(AssertionError, match="does not declare"):
        Planted(NoHalf).test_agrees_with_the_reference("rms_norm", "float16")
    with pytest.raises(AssertionError, match="take it out"):
        Planted(NoHalf, {"float32"}).test_agrees_with_the_reference("rms_norm", "float32")
