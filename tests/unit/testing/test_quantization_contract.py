"""QuantizationContract catches planted bugs, and lets a packing method say how it stores."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from planted import fails, failures

from inferd.builtin.unquantized import DenseWeights, Unquantized
from inferd.contracts.quantization import LinearMethod
from inferd.errors import UnsupportedModel
from inferd.layers.weight import reordered, unpack_checked
from inferd.testing import QuantizationContract
from inferd.testing.numbers import DTYPES
from inferd.testing.quantization_contract import PARTS

LAYERS = list(product(DTYPES, PARTS, (False, True)))


def method(weights):
    class Made(Unquantized):
        def create(self, spec, ops):
            return weights(spec, ops)

    return Made


class NoBias(DenseWeights):
    def finish(self):
        self._tensors.pop("bias", None)
        return super().finish()


class PartsSwapped(DenseWeights):
    """The last two parts, which are of one size."""

    def load(self, suffix, part, tensor):
        super().load(suffix, (0, 2, 1)[part], tensor)


class AnyShape(DenseWeights):
    def load(self, suffix, part, tensor):
        rows = self._shape(suffix, part)[0]
        tensor.shape, tensor.data = self._shape(suffix, part), tensor.data[:rows]
        super().load(suffix, part, tensor)


class LeavesTheOrder(DenseWeights):
    """Takes the rows as they are stored."""

    def __init__(self, spec, ops):
        super().__init__(replace(spec, orders=()), ops)


class ForgetsParts(DenseWeights):
    """Takes a fused layer for complete once one part is there."""

    def missing(self):
        return super().missing() if len(self._missing) == len(self.expected()) else []


class OrderMatters(DenseWeights):
    """Puts each part behind the one that was loaded before it."""

    def load(self, suffix, part, tensor):
        self._order = [*getattr(self, "_order", []), part]
        super().load(suffix, part, tensor)

    def finish(self):
        if self._order[0] != 0:
            self._tensors["weight"] = self._tensors["weight"].flip(0)
        return super().finish()


class Planted(QuantizationContract):
    plugin = "builtin"
    method = "unquantized"

    def __init__(self, kind, cannot=frozenset()):
        self._kind = kind
        self.cannot = cannot

    def implementation(self):
        return self._kind

    def failing(self):
        return failures(lambda layer: self.test_agrees_with_the_reference(*layer), LAYERS)


@pytest.mark.parametrize("weights", [NoBias, PartsSwapped, OrderMatters])
def test_wrong_numbers_fail(weights):
    contract = Planted(method(weights))
    assert fails(lambda layer: contract.test_agrees_with_the_reference(*layer), LAYERS)


def test_rows_that_stay_as_they_are_stored_fail():
    with pytest.raises(AssertionError, match="relative error"):
        Planted(method(LeavesTheOrder)).test_rows_come_in_the_order_that_the_layer_wants()


def test_wrong_accounting_fails():
    with pytest.raises(AssertionError, match=r"missing\(\) is \[\]"):
        Planted(method(ForgetsParts)).test_asks_for_every_tensor()


def test_a_shape_that_is_not_checked_fails():
    with pytest.raises(AssertionError, match="must raise CheckpointError"):
        Planted(method(AnyShape)).test_refuses_tensors_that_do_not_fit()


def test_a_declared_word_must_be_refused():
    class NoBiases(Unquantized):
        def create(self, spec, ops):
            if spec.bias:
                raise UnsupportedModel(f"{spec.name}: has a bias")
            return super().create(spec, ops)

    assert not Planted(NoBiases, {"bias"}).failing()
    assert len(Planted(NoBiases).failing()) == len(LAYERS) / 2
    assert len(Planted(Unquantized, {"bias"}).failing()) == len(LAYERS) / 2


class Int8Weights(LinearMethod):
    """Rows of int8 with one scale each: the smallest method that packs."""

    def __init__(self, spec, ops):
        self._spec, self._ops, self._found = spec, ops, {}

    def expected(self):
        rows = list(enumerate(self._spec.out_features))
        weights = {("qweight", part): (n, self._spec.in_features) for part, n in rows}
        return weights | {("scales", part): (n,) for part, n in rows}

    def load(self, suffix, part, tensor):
        shape = self.expected().get((suffix, part))
        tensor = reordered(tensor, self._spec.order(part))
        self._found[suffix, part] = unpack_checked(tensor, shape or (), torch.float32)

    def missing(self):
        return [f"{s} of part {p}" for s, p in self.expected() if (s, p) not in self._found]

    def finish(self):
        parts = range(len(self._spec.out_features))
        rows = [self._found["qweight", p] * self._found["scales", p][:, None] for p in parts]
        return self._ops.linear["dense"](torch.cat(rows).to(self._spec.dtype), None)


class Int8(Unquantized):
    name = "int8"

    def create(self, spec, ops):
        if spec.bias:
            raise UnsupportedModel(f"{spec.name}: int8 layers have no bias")
        return Int8Weights(spec, ops)


class Packed(Planted):
    """What the author of a method that packs writes, apart from `implementation`."""

    method = "int8"
    configs = {"int8": {"quant_method": "int8"}}

    def store(self, weight_NK, config):
        scales = weight_NK.float().abs().amax(1) / 127
        qweight = (weight_NK.float() / scales[:, None]).round().to(torch.int8)
        values = (qweight * scales[:, None]).to(weight_NK.dtype)
        return {"qweight": qweight, "scales": scales}, values


def test_a_method_that_packs_says_how_it_stores():
    contract = Packed(Int8, cannot={"bias"})
    assert not contract.failing()
    contract.test_asks_for_every_tensor()
    contract.test_refuses_tensors_that_do_not_fit()


def test_a_packing_that_was_not_told_fails():
    class Untold(Packed):
        store = QuantizationContract.store

    with pytest.raises(AssertionError, match="override store"):
        Untold(Int8).test_asks_for_every_tensor()
