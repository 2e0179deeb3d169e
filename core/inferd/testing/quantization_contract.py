"""QuantizationContract: a layer loaded part by part multiplies as the dense weights would.

Shape suffixes: K in features, N out features.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import pytest
from torch import Tensor

from inferd.contracts.quantization import QuantizationMethod
from inferd.testing.cannot import check_words, judge
from inferd.testing.experts_layer import ExpertsLayer
from inferd.testing.linear_layer import LinearLayer
from inferd.testing.numbers import DTYPES
from inferd.testing.one_thread import OneThread
from inferd.testing.plugin_contract import PluginContract, implementation

PARTS = {"single": (64,), "fused": (96, 32, 32)}  # out features; q, k, v differ under GQA


class QuantizationContract(OneThread, PluginContract):
    """Every dtype, with and without bias, single and fused layers, every configuration.

        class TestContract(QuantizationContract):
            plugin = "awq"
            method = "awq"
            configs = {"group_size=128": {"bits": 4, "group_size": 128}}   # quantization_config
            cannot = {"bias", "float32"}

    Words of `cannot`: dtypes, "bias", "fused", "experts", and the names in `configs`. A method
    whose checkpoints do not hold dense weights also overrides `store`.
    """

    method: ClassVar[str]
    configs: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}}
    cannot: ClassVar[Collection[str]] = frozenset()
    platform: ClassVar[str] = "cpu"
    device: ClassVar[str] = "cpu"

    def implementation(self) -> type[QuantizationMethod]:
        """What is tested: the registered class."""
        kind: type[QuantizationMethod] = implementation(self.plugin, "quantization", self.method)
        return kind

    def store(
        self, weight_NK: Tensor, config: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What a checkpoint holds for a weight, by suffix, and the float values that stand there.

        Overridden by methods that pack: for example qweight, scales, and the dequantized matrix in
        float64, written from the format's specification and not with the method's own code.
        """
        assert not config, "a method with a quantization_config says how it stores: override store"
        return {"weight": weight_NK}, weight_NK

    def store_expert(
        self, weight_NK: Tensor, config: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """As `store`, of a matrix of an expert."""
        return self.store(weight_NK, config)

    def test_name_is_the_registered_one(self) -> None:
        assert self.implementation().name == self.method

    def test_cannot_is_understood(self) -> None:
        check_words(self.cannot, {*DTYPES, *self.configs, "bias", "fused", "experts"})

    @pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
    @pytest.mark.parametrize("parts", PARTS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_agrees_with_the_reference(self, dtype: str, parts: str, bias: bool) -> None:
        extras = [word for word, there in (("bias", bias), ("fused", parts == "fused")) if there]
        for config in self.configs:
            words = {dtype, config, *extras}
            layer = LinearLayer(self, config, dtype, PARTS[parts], bias)
            judge(", ".join(sorted(words)), words, self.cannot, layer.check_numbers)

    def test_experts_agree_with_the_reference(self) -> None:
        for dtype in ("float32", "bfloat16"):  # CPUs have those of 16 bits packed
            for config in self.configs:
                words = {"experts", config, dtype}
                layer = ExpertsLayer(self, config, dtype)
                judge(", ".join(sorted(words)), words, self.cannot, layer.check)

    def test_rows_come_in_the_order_that_the_layer_wants(self) -> None:
        """As of heads that are rotated in part."""
        self._supported(ordered=True).check_numbers()

    def test_asks_for_every_tensor(self) -> None:
        self._supported().check_accounting()

    def test_draws_what_it_takes(self) -> None:
        """For `--load-format dummy`."""
        for config in self.configs.keys() - self.cannot:
            self._supported(config).check_dummies()

    def test_refuses_tensors_that_do_not_fit(self) -> None:
        self._supported().check_refusals()

    def _supported(self, config: str = "", *, ordered: bool = False) -> LinearLayer:
        """A layer of the first kind that `cannot` leaves."""
        config = config or next(name for name in self.configs if name not in self.cannot)
        dtype = next(name for name in DTYPES if name not in self.cannot)
        parts = PARTS["single" if "fused" in self.cannot else "fused"]
        return LinearLayer(self, config, dtype, parts, "bias" not in self.cannot, ordered=ordered)
