"""What a GPTQ checkpoint's quantization_config says, as gptqmodel and auto-gptq write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from inferd.contracts.weight_formats import GROUPED_BITS
from inferd.errors import UnsupportedModel

FORMATS = ("gptq", "gptq_v2")


@dataclass(frozen=True, slots=True)
class Packing:
    """How one matrix is packed."""

    bits: int
    group_size: int  # -1: one group of all inputs
    less_one: bool  # zero points are stored minus one: version 1 of the format


@dataclass(frozen=True, slots=True)
class Config:
    default: Packing
    dynamic: tuple[tuple[re.Pattern[str], Packing | None], ...]  # None: left as it is
    quantized: tuple[str, ...]  # endings of the modules that are, () for all

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Raises UnsupportedModel for what no reader of this format could mean."""
        written = config.get("checkpoint_format") or config.get("format") or "gptq"
        if written not in FORMATS or config.get("is_marlin_format"):
            raise _unusable("checkpoint_format", written, f"one of {', '.join(FORMATS)}")
        for key, usual in (("lm_head", False), ("pack_dtype", "int32")):
            if (config.get(key) or usual) != usual:
                raise _unusable(key, config[key], repr(usual))
        default = _packing(config, written == "gptq")
        return cls(default, _dynamic(config, default), _quantized(config))

    @property
    def all_bits(self) -> set[int]:
        return {self.default.bits} | {packing.bits for _, packing in self.dynamic if packing}

    def packing(self, name: str) -> Packing | None:
        """Of the matrix called `name`; None: it is stored dense."""
        if self.quantized and not name.endswith(self.quantized):
            return None
        for pattern, packing in self.dynamic:
            if pattern.match(name):
                return packing
        return self.default


def _packing(config: Mapping[str, Any], less_one: bool) -> Packing:
    bits, size = config.get("bits"), config.get("group_size", -1)
    if bits not in GROUPED_BITS:
        raise _unusable("bits", bits, f"one of {', '.join(map(str, GROUPED_BITS))}")
    if type(size) is not int or (size != -1 and size < 1):
        raise _unusable("group_size", size, "-1 or a number of inputs")
    return Packing(bits, size, less_one)


def _dynamic(
    config: Mapping[str, Any], default: Packing
) -> tuple[tuple[re.Pattern[str], Packing | None], ...]:
    """Patterns in order; the first that matches counts. "-:" leaves modules out, "+:" does not."""
    rules: list[tuple[re.Pattern[str], Packing | None]] = []
    for key, changes in (config.get("dynamic") or {}).items():
        try:
            pattern = re.compile(key.removeprefix("-:").removeprefix("+:"))
        except re.error as error:
            raise _unusable("dynamic", key, f"a regular expression: {error}") from None
        changed = {"bits": default.bits, "group_size": default.group_size, **changes}
        packing = None if key.startswith("-:") else _packing(changed, default.less_one)
        rules.append((pattern, packing))
    return tuple(rules)


def _quantized(config: Mapping[str, Any]) -> tuple[str, ...]:
    """From a list of names, or of lists of those that are quantized together."""
    found = config.get("modules_in_block_to_quantize") or []
    lists = [[entry] if isinstance(entry, str) else entry for entry in found]
    return tuple(f".{name}" for names in lists for name in names)


def _unusable(key: str, value: Any, wanted: str) -> UnsupportedModel:
    return UnsupportedModel(f"quantization_config of gptq: {key} is {value!r}, expected {wanted}")
