"""A linear layer as a quantization method loads it, against float64.

Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import LinearMethod, LinearSpec
from inferd.errors import CheckpointError
from inferd.layers.matrix_format import fits
from inferd.testing import reference
from inferd.testing.cannot import require
from inferd.testing.drive import installed_ops
from inferd.testing.numbers import DTYPES, check_rounded
from inferd.testing.plugin_contract import registry

if TYPE_CHECKING:
    from inferd.testing.quantization_contract import QuantizationContract

IN_FEATURES = 256


class LinearLayer:
    """One linear layer of the contract's method, and what a checkpoint holds for it."""

    def __init__(
        self,
        contract: QuantizationContract,
        config: str,
        dtype: str,
        parts: tuple[int, ...],
        bias: bool,
        *,
        ordered: bool = False,
    ) -> None:
        self._registry = registry(contract.plugin, "quantization")
        self._kind, self._config = contract.implementation(), contract.configs[config]
        self._platform, self._dtype = contract.platform, dtype
        names = tuple(f"layer.part_{part}" for part in range(len(parts)))
        orders = tuple(torch.arange(rows).roll(5) if ordered else None for rows in parts)
        device = torch.device(contract.device)
        self._spec = LinearSpec(
            "layer.proj", IN_FEATURES, parts, bias, DTYPES[dtype], device, names, orders
        )
        self._stored: dict[tuple[str, int], RawTensor] = {}
        dense, biases = [], []
        for part, rows in enumerate(parts):
            tensors, values_NK = contract.store(self._draw(part, rows, IN_FEATURES), self._config)
            order = slice(None) if orders[part] is None else orders[part]
            dense.append(values_NK[order])
            if bias:
                biases.append(tensors.setdefault("bias", self._draw(50 + part, rows))[order])
            self._stored |= {(name, part): _raw(name, part, t) for name, t in tensors.items()}
        self._weight_NK, self._bias_N = torch.cat(dense), torch.cat(biases) if bias else None

    def check_numbers(self) -> None:
        """Whatever the order of the tensors."""
        require(self._kind.supports(self._platform, self._config))
        for order in (list(self._stored), list(self._stored)[::-1]):
            linear = self._load(order).finish()
            for tokens in (1, 5, 64):
                x_TK = self._draw(99, tokens, IN_FEATURES).to(self._spec.device)
                expected_TN = reference.linear(x_TK.cpu(), self._weight_NK, self._bias_N)
                check_rounded(f"{tokens} tokens", linear(x_TK), expected_TN, self._dtype)

    def check_accounting(self) -> None:
        """`expected` is what the checkpoint holds, and `missing` shrinks to nothing."""
        method = self._create()
        shapes = {key: tensor.shape for key, tensor in self._stored.items()}
        wanted, told = method.expected(), f"expected() is {method.expected()}, stored: {shapes}"
        assert wanted.keys() == shapes.keys(), told
        assert all(fits(shapes[key], shape) for key, shape in wanted.items()), told
        for done, (suffix, part) in enumerate(self._stored):
            left = len(self._stored) - done
            assert len(method.missing()) == left, f"missing() is {method.missing()}, {left} are"
            method.load(suffix, part, self._stored[suffix, part])
        assert not method.missing(), f"all is loaded, and missing() is {method.missing()}"

    def check_dummies(self) -> None:
        """What is drawn loads, and gives finite numbers."""
        method, generator = self._create(), torch.Generator(self._spec.device).manual_seed(0)
        for (suffix, part), shape in method.expected().items():
            drawn = method.draw(suffix, part, generator)
            storage, data = drawn or ("float32", torch.ones(shape, device=self._spec.device))
            whole = tuple(data.shape) if -1 in shape else shape
            method.load(suffix, part, RawTensor("dummy", whole, storage, data))
        x_TK = self._draw(99, 3, IN_FEATURES).to(self._spec.device)
        assert torch.isfinite(method.finish()(x_TK)).all(), f"{self._config}: dummies give nan"

    def check_refusals(self) -> None:
        wanted = self._create().expected()
        for (suffix, part), tensor in self._stored.items():
            any_length = -1 in wanted[suffix, part] or not tensor.shape
            double = torch.stack if any_length else torch.cat
            wrong = _raw(suffix, part, double((tensor.data, tensor.data)))
            self._check_refused(suffix, part, wrong)
        self._check_refused("no_such_suffix", 0, _raw("no_such_suffix", 0, torch.ones(3)))

    def _check_refused(self, suffix: str, part: int, tensor: RawTensor) -> None:
        what = f"{suffix} of part {part} with shape {list(tensor.shape)}"
        try:
            self._create().load(suffix, part, tensor)
        except CheckpointError as error:
            message = str(error)
        else:
            raise AssertionError(f"{what} is taken; load() must raise CheckpointError")
        assert tensor.name in message, f"the error for {what} does not name it: {message}"

    def _create(self) -> LinearMethod:
        ops = installed_ops(self._platform, self._spec.dtype)
        made = self._registry.make(self._kind, self._config, by="from_config")
        method: LinearMethod = made.create(self._spec, ops)
        return method

    def _load(self, order: list[tuple[str, int]]) -> LinearMethod:
        method = self._create()
        for suffix, part in order:
            method.load(suffix, part, self._stored[suffix, part])
        return method

    def _draw(self, seed: int, *shape: int) -> Tensor:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.to(DTYPES[self._dtype])


def _raw(suffix: str, part: int, data: Tensor) -> RawTensor:
    storage = str(data.dtype).removeprefix("torch.")
    return RawTensor(f"layer.part_{part}.{suffix}", tuple(data.shape), storage, data.clone())
