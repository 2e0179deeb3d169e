"""From a checkpoint's tensors to a loaded model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.model import CausalLM
from inferd.errors import CheckpointError
from inferd.layers.layer import Layer
from inferd.loading.name_map import NameMap
from inferd.loading.text_part import text_names, text_tensors

DUMMY_SCALE = 0.02
MOST_LINES = 8  # of an error, for each of missing and unexpected


@dataclass(frozen=True, slots=True)
class LoadReport:
    num_values: int  # of weights that are kept in the model's dtype
    num_bytes: int  # of all other weights

    def total_bytes(self, dtype: torch.dtype) -> int:
        """With the model's dtype."""
        return self.num_values * dtype.itemsize + self.num_bytes


def load_weights(
    model: CausalLM, loader: WeightLoader, progress: Callable[[int], None] | None = None
) -> LoadReport:
    """Give every tensor to its module, each repacked as soon as it is complete.

    `progress` is called with the bytes done. Raises CheckpointError naming the checkpoint and what
    is missing, unexpected or misshapen.
    """
    targets = _Targets(model)
    done = 0
    try:
        targets.check_names(model.stored_as(text_names(loader.names() or ())))
        for tensor in model.stored(text_tensors(loader)):
            targets.give(tensor)
            done += tensor.data.numel() * tensor.data.element_size()
            if progress is not None:
                progress(done)
        targets.finish()
    except CheckpointError as error:
        raise CheckpointError(_at(loader, str(error))) from None
    return targets.report


def _at(loader: WeightLoader, message: str) -> str:
    """With the checkpoint's place, unless the loader has said it itself."""
    place = str(getattr(loader, "path", loader.name))
    return message if message.startswith(place) else f"{place}: {message}"


def draw_weights(model: CausalLM, seed: int, device: torch.device) -> LoadReport:
    """Random weights for `--load-format dummy`: matrices small, norms one, biases zero.

    They are drawn on `device`, so that 8 billion take a second where there is a GPU.
    """
    generator = torch.Generator(device).manual_seed(seed)
    targets = _Targets(model)
    for name, module in targets.modules.items():
        for (suffix, part), shape in module.expected().items():
            drawn = module.draw(suffix, part, generator) if isinstance(module, Layer) else None
            storage, value = drawn or ("float32", _draw(suffix, shape, generator))
            whole = tuple(value.shape) if -1 in shape else shape
            raw = RawTensor(f"{name}.{suffix}", whole, storage, value)
            targets.load(name, suffix, part, raw)
    targets.finish()
    return targets.report


def _draw(suffix: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if len(shape) > 1:
        return torch.randn(shape, generator=generator, device=generator.device) * DUMMY_SCALE
    return torch.zeros(shape) if suffix == "bias" else torch.ones(shape)


class _Targets:
    """Where each checkpoint name goes, and which modules wait for more."""

    def __init__(self, model: CausalLM) -> None:
        self.modules = model.targets()
        # a dict for its order: a mixture of experts has thousands
        self._waiting = {name: None for name, module in self.modules.items() if module.missing()}
        self._finished: set[str] = set()
        self.report = LoadReport(0, 0)
        self._num_values = Counter[str]()  # by module
        self._given: set[tuple[str, str, int]] = set()
        self._names = NameMap(model)
        self._ignores = model.ignores
        self._unexpected: list[str] = []

    def check_names(self, names: Collection[str]) -> None:
        """Before anything is read, where the names are known."""
        if not names:
            return
        places = {name: self._names.place(name) for name in names}
        unexpected = [name for name, place in places.items() if self._is_unexpected(name, place[0])]
        self._refuse(self._missing({(m, s, p) for m, s, p in places.values()}), unexpected)

    def _is_unexpected(self, name: str, module: str) -> bool:
        return module not in self.modules and not self._ignores(name)

    def give(self, tensor: RawTensor) -> None:
        module, suffix, part = self._names.place(tensor.name)
        if module in self.modules:
            self.load(module, suffix, part, tensor)
        elif self._is_unexpected(tensor.name, module):
            self._unexpected.append(tensor.name)

    def load(self, name: str, suffix: str, part: int, tensor: RawTensor) -> None:
        module = self.modules[name]
        if suffix == "bias" and self._adds_nothing(name, part, tensor):
            return
        if name in self._finished:  # a second copy, or a part the module does not have
            self._unexpected.append(tensor.name)
            return
        module.load_weight(suffix, part, tensor)
        self._num_values[name] += math.prod(tensor.shape)
        self._given.add((name, suffix, part))
        if name in self._waiting and not module.missing():
            del self._waiting[name]
            self._finish(name)

    def _adds_nothing(self, name: str, part: int, tensor: RawTensor) -> bool:
        """A bias of zeros of a module that has none: auto-gptq stores one for every linear."""
        place = ("bias", part)
        if name in self._finished:
            takes = (name, *place) in self._given
        else:
            takes = place in self.modules[name].expected()
        return not takes and not bool(tensor.data.any())

    def _finish(self, name: str) -> None:
        module, report = self.modules[name], self.report
        module.finish()
        self._finished.add(name)
        num_bytes = module.num_bytes if isinstance(module, Layer) else None
        if num_bytes is None:
            values = report.num_values + self._num_values[name]
            self.report = replace(report, num_values=values)
        else:
            self.report = replace(report, num_bytes=report.num_bytes + num_bytes)

    def finish(self) -> None:
        """Check that all is there; then those that take nothing, like a head that is tied."""
        self._refuse(self._missing(self._given), self._unexpected)
        for name in [name for name in self.modules if name not in self._finished]:
            self._finish(name)

    def _refuse(self, missing: list[str], unexpected: list[str]) -> None:
        if missing or unexpected:
            raise CheckpointError(
                f"the checkpoint does not fit the model:{_grouped('missing', missing)}"
                f"{_grouped('unexpected', unexpected)}"
            )

    def _missing(self, given: Collection[tuple[str, str, int]]) -> list[str]:
        """By the names that a checkpoint would use."""
        return [
            self._names.stored(name, suffix, part)
            for name in self._waiting
            for suffix, part in self.modules[name].expected()
            if (name, suffix, part) not in given
        ]


def _grouped(word: str, names: list[str]) -> str:
    """One line for each name that differs in numbers only, such as a layer's."""
    groups = Counter(re.sub(r"\.\d+\.", ".*.", name) for name in names)
    lines = [f"  {word}: {name}" + (f" ({n} times)" if n > 1 else "") for name, n in groups.items()]
    more = [f"  {word}: {len(lines) - MOST_LINES} more kinds"] if len(lines) > MOST_LINES else []
    return "".join(f"\n{line}" for line in lines[:MOST_LINES] + more)
