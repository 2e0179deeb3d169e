"""Rounding and the exponential, in scalars and in vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numba import njit

from inferd_cpu_numba.kernels import fields, numbers, tile
from inferd_cpu_numba.kernels.shape import Shape

SPECIAL = [0.0, -0.0, 1.0, 1.00390625, 1.01171875, 3.3895314e38, math.inf, -math.inf, 1e-40]


@njit
def scalars(source, target, count):
    for i in range(count):
        value = numbers.element(source, i, 32)
        numbers.set_element(target, i, value, 16)


@njit
def vectors(source, target, count):
    for i in range(0, count, 16):
        value = tile.load(1, 1, source + i * 4, 0, 32)
        tile.store(value, target + i * 2, 0, 16)


@njit
def powers(source, target, count):
    for i in range(0, count, 16):
        value = tile.load(1, 1, source + i * 4, 0, 32)
        tile.store(tile.exp2(value), target + i * 4, 0, 32)


@njit
def exponentials(values):
    return np.array([numbers.exp(np.float32(value)) for value in values])


@pytest.mark.parametrize("convert", [scalars, vectors])
def test_rounding_to_bfloat16_is_torchs(convert):
    noise = torch.randn(1024 - len(SPECIAL), generator=torch.Generator().manual_seed(0))
    values = torch.cat((torch.tensor(SPECIAL), noise))
    found = torch.empty(1024, dtype=torch.bfloat16)
    convert(values.data_ptr(), found.data_ptr(), 1024)
    assert torch.equal(found, values.bfloat16())


@pytest.mark.parametrize("convert", [scalars, vectors])
def test_nan_stays_nan(convert):
    raw = torch.tensor([0x7FFFFFFF, 0x7F800001, -1, -0x7FFFFF] * 4, dtype=torch.int32)
    found = torch.zeros(16, dtype=torch.bfloat16)
    convert(raw.data_ptr(), found.data_ptr(), 16)
    assert found.isnan().all()


def test_powers_of_two_are_exact_to_float32():
    values = torch.linspace(-100, 0, 4096)
    found = torch.empty(4096)
    powers(values.data_ptr(), found.data_ptr(), 4096)
    expected = torch.exp2(values.double())
    assert ((found.double() - expected) / expected).abs().max() < 4e-7


def test_what_is_hidden_has_no_weight():
    values, found = torch.full((16,), -1e30), torch.empty(16)
    powers(values.data_ptr(), found.data_ptr(), 16)
    assert found.max() < 1e-30


def test_the_least_weight_times_a_value_is_a_normal_number():
    """Products that are denormal took ALiBi and sinks four times as long."""
    values, found = torch.full((16,), -1e30), torch.empty(16)
    powers(values.data_ptr(), found.data_ptr(), 16)
    assert found.min() * 1e-7 > torch.finfo(torch.float32).tiny


def test_exponentials_are_exact_to_float32_and_bounded():
    values = np.linspace(-80, 80, 2001, dtype=np.float32)
    expected = np.exp(values.astype(np.float64))
    error = np.abs(exponentials(values) - expected) / expected
    assert error.max() < 1e-5  # the exponent is rounded to float32 first
    assert np.isfinite(exponentials(np.array([-1e4, 1e4], dtype=np.float32))).all()


def test_fields_are_in_the_order_of_a_shape():
    assert [getattr(fields, name.upper()) for name in Shape._fields] == [*range(len(Shape._fields))]
