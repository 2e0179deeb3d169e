"""What the quantization_config of an FP8 checkpoint says, as DeepSeek, Qwen and vLLM write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from inferd.contracts.scaled_formats import BLOCK
from inferd.errors import UnsupportedModel

SCHEMES = ("dynamic", "static")
LISTS = ("ignored_layers", "modules_to_not_convert")  # two names of one thing


@dataclass(frozen=True, slots=True)
class Config:
    stored: bool  # False: the checkpoint is dense, and rounded when it is loaded
    blocks: bool = False
    static: bool = False  # one scale for all inputs of a matrix
    ignored: tuple[str, ...] = ()

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Raises UnsupportedModel for what is not read."""
        if not config:
            return cls(stored=False)
        scheme, size = config.get("activation_scheme", "dynamic"), config.get("weight_block_size")
        checked = (
            ("quant_method", config.get("quant_method"), ("fp8",)),
            ("fmt", config.get("fmt", "e4m3"), ("e4m3",)),
            ("activation_scheme", scheme, SCHEMES),
            ("weight_block_size", size, (None, [BLOCK, BLOCK])),
        )
        for key, found, known in checked:
            if found not in known:
                raise _unusable(key, found, f"one of {', '.join(map(str, known))}")
        if size and scheme == "static":
            raise _unusable("activation_scheme", scheme, "dynamic, with blocks")
        ignored = (name for key in LISTS for name in config.get(key) or ())
        return cls(True, size is not None, scheme == "static", tuple(ignored))

    def ignores(self, name: str) -> bool:
        """Whether the matrix called `name`, or a module that it is in, is left dense."""
        return any(f".{entry}." in f".{name}." for entry in self.ignored)


def _unusable(key: str, value: Any, wanted: str) -> UnsupportedModel:
    return UnsupportedModel(f"quantization_config of fp8: {key} is {value!r}, expected {wanted}")
