"""From a checkpoint's tensors to a loaded model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.model import CausalLM
from inferd.contracts.weights import TakesWeights
from inferd.errors import CheckpointError

DUMMY_SCALE = 0.02


@dataclass(frozen=True, slots=True)
class LoadReport:
    seconds: float
    num_bytes: int  # as stored


def load_weights(
    model: CausalLM, loader: WeightLoader, progress: Callable[[int], None] | None = None
) -> LoadReport:
    """Give every tensor to its module, then repack. `progress` is called with bytes done.

    Raises CheckpointError naming what is missing, unexpected or misshapen.
    """
    started = time.monotonic()
    targets = _Targets(model)
    done = 0
    for tensor in loader.tensors():
        targets.give(tensor)
        done += tensor.data.numel() * tensor.data.element_size()
        if progress is not None:
            progress(done)
    targets.finish()
    return LoadReport(time.monotonic() - started, loader.num_bytes)


def draw_weights(model: CausalLM, seed: int) -> LoadReport:
    """Random weights for `--load-format dummy`: matrices small, norms one, biases zero."""
    started = time.monotonic()
    generator = torch.Generator().manual_seed(seed)
    targets = _Targets(model)
    for name, module in targets.modules.items():
        for (suffix, part), shape in module.expected().items():
            value = _draw(suffix, shape, generator)
            raw = RawTensor(f"{name}.{suffix}", shape, "float32", value)
            module.load_weight(suffix, part, raw)
    targets.finish()
    return LoadReport(time.monotonic() - started, 0)


def _draw(suffix: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if len(shape) > 1:
        return torch.randn(shape, generator=generator) * DUMMY_SCALE
    return torch.zeros(shape) if suffix == "bias" else torch.ones(shape)


class _Targets:
    """Where each checkpoint name goes."""

    def __init__(self, model: CausalLM) -> None:
        self.modules: dict[str, TakesWeights] = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, TakesWeights)
        }
        self._ignored = model.ignored
        self._parts = {
            part: (fused, place)
            for fused, parts in model.packed.items()
            for place, part in enumerate(parts)
        }
        self._unexpected: list[str] = []

    def give(self, tensor: RawTensor) -> None:
        path, _, suffix = tensor.name.rpartition(".")
        parent, _, leaf = path.rpartition(".")
        fused, part = self._parts.get(leaf, (leaf, 0))
        module = self.modules.get(f"{parent}.{fused}" if parent else fused)
        if module is not None:
            module.load_weight(suffix, part, tensor)
        elif not tensor.name.endswith(self._ignored):
            self._unexpected.append(tensor.name)

    def finish(self) -> None:
        missing = [
            f"{name}.{what}" for name, module in self.modules.items() for what in module.missing()
        ]
        if missing or self._unexpected:
            raise CheckpointError(
                f"the checkpoint does not fit the model: {_some('missing', missing)}"
                f"{_some('unexpected', self._unexpected)}"
            )
        for module in self.modules.values():
            module.finish()


def _some(word: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"\n  {word}: {', '.join(names[:3])}{more}"
