"""From a checkpoint's tensors to transformers' parameters: its own renamings and conversions."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from inferd.contracts.loader import RawTensor


class Conversion:
    """Tensors that only change their name pass at once; those that are merged wait for the last.

    What waits is not copied: it lies in the checkpoint's file until its group is merged.
    """

    def __init__(self, model: Any, names: Collection[str]) -> None:
        transforms = get_model_conversion_mapping(model)
        self._model, self._prefix = model, model.base_model_prefix
        self._renamings = [t for t in transforms if isinstance(t, WeightRenaming)]
        self._converters = [t for t in transforms if isinstance(t, WeightConverter)]
        self._names = dict.fromkeys(names, True)
        self._ignored = [
            pattern
            for module in model.modules()  # a base knows of its own
            for pattern in getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()
        ]

    def __call__(self, tensors: Iterator[RawTensor]) -> Iterator[RawTensor]:
        waiting: dict[str, list[tuple[str, RawTensor]]] = {}
        for tensor in tensors:
            name, pattern = self._renamed(tensor.name)
            if pattern is not None:
                waiting.setdefault(name, []).append((pattern, tensor))
            elif name in self._names or not self._is_ignored(tensor.name):
                yield replace(tensor, name=name)
        while waiting:
            yield from self._merged(*waiting.popitem())

    def names(self, stored: Collection[str]) -> list[str]:
        """What the call makes of tensors with these names."""
        found: dict[str, None] = {}
        for each in stored:
            name, pattern = self._renamed(each)
            if pattern is not None:
                first, *others = self._converter(pattern).target_patterns
                found |= dict.fromkeys([name, *(name.replace(first, other) for other in others)])
            elif name in self._names or not self._is_ignored(each):
                found[name] = None
        return list(found)

    def _converter(self, pattern: str) -> Any:
        return next(c for c in self._converters if pattern in c.source_patterns)

    def _renamed(self, stored: str) -> tuple[str, str | None]:
        """As transformers does: a name that fits as it is stays, whatever the mapping says."""
        name, pattern = rename_source_key(
            stored, self._renamings, self._converters, self._prefix, self._names
        )
        if name not in self._names and stored in self._names:
            return stored, None
        return name, pattern

    def _is_ignored(self, stored: str) -> bool:
        return any(re.search(pattern, stored) for pattern in self._ignored)

    def _merged(self, name: str, group: list[tuple[str, RawTensor]]) -> Iterator[RawTensor]:
        converter = copy.deepcopy(self._converter(group[0][0]))
        for found, tensor in sorted(group, key=lambda pair: dot_natural_key(pair[1].name)):
            converter.add_tensor(name, tensor.name, found, tensor.unpack(tensor.data.dtype))
        made = converter.convert(name, model=self._model, config=self._model.config)
        for target, value in made.items():
            data = value[0] if isinstance(value, list) else value
            storage = str(data.dtype).removeprefix("torch.")
            yield RawTensor(target, tuple(data.shape), storage, data)
