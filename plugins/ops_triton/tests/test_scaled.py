"""W8A8: what rounds together with another op rounds as it does after it, to the bit."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.scaled_formats import E4M3, InputFormat, RoundedInputs
from inferd.testing.packed_weights import draw_scaled
from inferd_ops_triton.kernels import activation, norm
from inferd_ops_triton.kernels.chain import ALONE
from inferd_ops_triton.kernels.rounding import round_inputs
from inferd_ops_triton.rounded import FNUZ, Rounding, placed
from inferd_ops_triton.scaled import ScaledLinear
from inferd_ops_triton.tables import INTERPRETED

FORMATS = [
    InputFormat(E4M3),
    InputFormat(E4M3, 128),
    InputFormat(E4M3, scale=0.01),
    InputFormat(torch.int8),
]


def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return (torch.randn(shape, generator=generator) * scale).bfloat16()


def same(found: RoundedInputs, expected: RoundedInputs) -> bool:
    return torch.equal(found.scales_TG, expected.scales_TG) and torch.equal(
        found.codes_TK.float(), expected.codes_TK.float()
    )


@pytest.mark.parametrize("inputs", FORMATS, ids=str)
def test_rounds_as_the_format_says(inputs: InputFormat) -> None:
    x_TK = draw(5, 400)[:, :320]
    x_TK[1], x_TK[2, 7] = 0, 3e4
    assert same(round_inputs(x_TK, Rounding.of(inputs, INTERPRETED)), inputs.round(x_TK))


@pytest.mark.parametrize("inputs", FORMATS, ids=str)
def test_fused_ops_give_what_rounding_after_them_gives(inputs: InputFormat) -> None:
    name = "int8_row" if inputs.dtype == torch.int8 else "fp8_block" if inputs.group else "fp8_row"
    weight = draw_scaled(0, name, (32, 320), scale=inputs.scale)
    linear = ScaledLinear(weight, None, torch.bfloat16, INTERPRETED, ALONE)
    x_TD, residual_TD, weight_D = draw(5, 320), draw(5, 320, scale=2.0), draw(320)
    sum_TD = residual_TD.clone()
    rounded, found_TD = linear.fused["add_rms_norm"](x_TD.clone(), sum_TD, weight_D, 1e-5)
    normed_TD, total_TD = norm.add_rms_norm(x_TD.clone(), residual_TD.clone(), weight_D, 1e-5)
    assert torch.equal(found_TD, total_TD)
    assert same(rounded, inputs.round(normed_TD))
    assert torch.equal(linear(rounded), linear(normed_TD))
    alone = linear.fused["rms_norm"](x_TD, weight_D, 1e-5)
    assert same(alone, inputs.round(norm.rms_norm(x_TD, weight_D, 1e-5)))
    x_T2I = draw(3, 640)
    activated = linear.fused["silu"](x_T2I)
    assert same(activated, inputs.round(activation.act_and_mul(x_T2I, "silu")))


@pytest.mark.parametrize("name", ["fp8_row", "fp8_block", "int8_row"])
def test_one_token_is_multiplied_as_it_is(name: str) -> None:
    weight = draw_scaled(0, name, (32, 128))
    linear = ScaledLinear(weight, None, torch.bfloat16, INTERPRETED, ALONE)
    x_TD, residual_TD, weight_D = draw(1, 128), draw(1, 128), draw(128)
    normed_TD, _ = linear.fused["add_rms_norm"](x_TD, residual_TD, weight_D, 1e-5)
    assert normed_TD is x_TD
    assert isinstance(linear.fused["rms_norm"](x_TD, weight_D, 1e-5), torch.Tensor)
    assert isinstance(linear.fused["gelu"](draw(1, 256)), torch.Tensor)


def test_rows_that_are_no_words_are_rounded_for_one_token() -> None:
    linear = ScaledLinear(
        draw_scaled(0, "fp8_row", (32, 126)), None, torch.bfloat16, INTERPRETED, ALONE
    )
    assert not linear.is_exact(1)
    assert isinstance(linear.fused["rms_norm"](draw(1, 126), draw(126), 1e-5), RoundedInputs)


def test_amds_numbers_are_the_same_ones() -> None:
    """All of e4m3fn but the nan, as e4m3fnuz with scales twice as large; and inputs likewise."""
    weight = draw_scaled(0, "fp8_row", (2, 128))
    bits_K = torch.arange(128, dtype=torch.uint8)
    bits_K[127] = 0
    weight.values_NK.view(torch.uint8)[:] = torch.stack((bits_K, bits_K | 0x80))
    expected = weight.dequantize(torch.float64)
    found = placed(weight, "gfx942")
    assert found.values_NK.dtype == FNUZ
    assert torch.equal(found.dequantize(torch.float64), expected)
    for inputs in (InputFormat(E4M3), InputFormat(E4M3, scale=0.01)):
        rounding, x_TK = Rounding.of(inputs, "gfx942"), draw(4, 128)
        theirs, most = inputs.round(x_TK), rounding.most
        scales_T1 = x_TK.float().abs().amax(1, keepdim=True) / most
        if rounding.scale is not None:
            scales_T1 = torch.full_like(scales_T1, rounding.scale)
        # the interpreter of triton 3.6 does not know these numbers
        codes_TK = (x_TK.float() / scales_T1).clamp(-most, most).to(rounding.dtype)
        mine = RoundedInputs(codes_TK, scales_T1)
        assert torch.equal(mine.dequantize(torch.float64), theirs.dequantize(torch.float64))


def test_a_token_of_a_wider_tensor() -> None:
    """Of an odd number of columns: its words are where they are."""
    weight = draw_scaled(0, "fp8_row", (32, 128))
    linear = ScaledLinear(weight, None, torch.bfloat16, INTERPRETED, ALONE)
    x_TK = draw(1, 129)[:, :128]
    assert torch.equal(linear(x_TK), linear(x_TK.contiguous()))
