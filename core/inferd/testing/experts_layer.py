"""The experts of a layer as a quantization method loads them, against float64.

Shape suffixes: T tokens, D hidden, K in features, N out features, M experts, C chosen ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Experts
from inferd.contracts.quantization import ExpertsMethod, ExpertsSpec
from inferd.testing import reference
from inferd.testing.drive import installed_ops
from inferd.testing.numbers import DTYPES, check_close
from inferd.testing.plugin_contract import registry

if TYPE_CHECKING:
    from inferd.testing.quantization_contract import QuantizationContract

HIDDEN, INNER = 256, 128
CHOSEN = ((0, 1), (1, 0), (0, 1))
Key = tuple[str, int, int]  # suffix, expert, part


def check_batches(experts: Experts, gate_up_MND: Tensor, down_MDI: Tensor, dtype: str) -> None:
    """With silu and two chosen: one token, a few, and so many that each expert has several."""
    for tokens in (1, 5, 40):
        generator = torch.Generator().manual_seed(tokens)
        x_TD = torch.randn(tokens, down_MDI.shape[1], generator=generator).to(DTYPES[dtype])
        chosen_TC = torch.rand(tokens, len(down_MDI), generator=generator).argsort(1)[:, :2]
        weights_TC = torch.rand(tokens, 2, generator=generator).to(DTYPES[dtype])
        args = x_TD, chosen_TC, weights_TC
        expected_TD = reference.experts(*args, "silu", (gate_up_MND, None), (down_MDI, None))
        check_close(f"{tokens} tokens", experts(*args), expected_TD, dtype)


class ExpertsLayer:
    """Two experts; all tensors come in turn, or the other way round."""

    def __init__(self, contract: QuantizationContract, config: str, dtype: str) -> None:
        self._registry = registry(contract.plugin, "quantization")
        self._kind, self._config = contract.implementation(), contract.configs[config]
        self._platform, self._dtype = contract.platform, dtype
        device = torch.device(contract.device)
        self._spec = ExpertsSpec(
            "layer.experts", 2, HIDDEN, INNER, "silu", False, DTYPES[dtype], device
        )
        self._stored: dict[Key, RawTensor] = {}
        values: dict[tuple[int, int], Tensor] = {}
        for expert in range(2):
            for part in range(3):
                drawn_NK = self._draw(10 * expert + part, *self._spec.shape(part))
                weight_NK = drawn_NK / drawn_NK.shape[1] ** 0.5
                tensors, exact_NK = contract.store_expert(weight_NK, self._config)
                values[expert, part] = exact_NK.double()
                for suffix, data in tensors.items():
                    self._stored[suffix, expert, part] = _raw(suffix, data)
        both = [torch.cat((values[expert, 0], values[expert, 1])) for expert in range(2)]
        self._gate_up_MND = torch.stack(both)
        self._down_MDI = torch.stack([values[expert, 2] for expert in range(2)])

    def check(self) -> None:
        """Numbers, what is expected, and dummies."""
        for order in (list(self._stored), list(self._stored)[::-1]):
            method = self._create()
            for suffix, expert, part in order:
                assert suffix in method.expected(part), f"expected() lacks {suffix}"
                method.load(suffix, expert, part, self._stored[suffix, expert, part])
            self._check_numbers(method)
        self._check_dummies()

    def _check_numbers(self, method: ExpertsMethod) -> None:
        x_TD, chosen_TC = self._draw(99, len(CHOSEN), HIDDEN), torch.tensor(CHOSEN)
        weights_TC = torch.tensor([[0.75, 0.25]] * len(CHOSEN)).to(x_TD.dtype)
        placed = (each.to(self._spec.device) for each in (x_TD, chosen_TC, weights_TC))
        found_TD = method.finish()(*placed)
        matrices = (self._gate_up_MND, None), (self._down_MDI, None)
        expected_TD = reference.experts(x_TD, chosen_TC, weights_TC, "silu", *matrices)
        check_close("experts", found_TD, expected_TD, self._dtype)
        assert method.num_bytes > 0, "finish() does not say how large its weights are"

    def _check_dummies(self) -> None:
        """What is drawn loads, and gives finite numbers."""
        method, generator = self._create(), torch.Generator(self._spec.device).manual_seed(0)
        for expert in range(2):
            for part in range(3):
                for suffix, shape in method.expected(part).items():
                    drawn = method.draw(suffix, part, generator)
                    storage, data = drawn or ("float32", torch.ones(shape))
                    whole = tuple(data.shape) if -1 in shape else shape
                    method.load(suffix, expert, part, RawTensor("dummy", whole, storage, data))
        x_TD = self._draw(99, len(CHOSEN), HIDDEN).to(self._spec.device)
        chosen_TC = torch.tensor(CHOSEN, device=x_TD.device)
        found_TD = method.finish()(x_TD, chosen_TC, torch.ones_like(chosen_TC, dtype=x_TD.dtype))
        assert torch.isfinite(found_TD).all(), f"{self._config}: dummies give nan"

    def _create(self) -> ExpertsMethod:
        made = self._registry.make(self._kind, self._config, by="from_config")
        ops = installed_ops(self._platform, self._spec.dtype)
        method: ExpertsMethod = made.create_experts(self._spec, ops)
        return method

    def _draw(self, seed: int, *shape: int) -> Tensor:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.to(self._spec.dtype)


def _raw(suffix: str, data: Tensor) -> RawTensor:
    storage = str(data.dtype).removeprefix("torch.")
    return RawTensor(f"layer.experts.{suffix}", tuple(data.shape), storage, data.clone())
