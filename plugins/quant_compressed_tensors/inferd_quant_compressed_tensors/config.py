"""What a checkpoint's quantization_config says, as llmcompressor writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from inferd_quant_compressed_tensors.eight_bits import FORMATS, EightBits
from inferd_quant_compressed_tensors.keys import check, unusable

PACKED = "pack-quantized"
BITS = (4, 8)
ORDERS = (None, "weight", "static", "group", "dynamic")
LINEAR = "Linear"  # as a target: every linear
KV_SCHEME = {"num_bits": 8, "type": "float", "strategy": "tensor"}  # of k_scale and v_scale


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the matrices of one group of the configuration are packed."""

    bits: int
    group_size: int  # -1: one group of all inputs
    symmetric: bool
    ordered: bool  # inputs have groups of their own: act-order
    targets: tuple[str, ...]

    @property
    def format(self) -> str:
        return f"w{self.bits}_g"


@dataclass(frozen=True, slots=True)
class Config:
    schemes: tuple[Scheme | EightBits, ...]
    ignore: tuple[str, ...]

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Raises UnsupportedModel for what is not read."""
        groups = config.get("config_groups")
        if not isinstance(groups, Mapping) or not groups:
            raise unusable("config_groups", groups, "a group at least")
        kept = config.get("kv_cache_scheme") or KV_SCHEME
        if any(kept.get(key) != value for key, value in KV_SCHEME.items()):
            raise unusable("kv_cache_scheme", kept, f"none or {KV_SCHEME}")
        schemes = tuple(
            _scheme(name, group, config.get("format")) for name, group in groups.items()
        )
        return cls(schemes, tuple(config.get("ignore") or ()))

    def scheme(self, name: str) -> Scheme | EightBits | None:
        """Of the matrix called `name`; None: it is stored dense."""
        if any(_targets(entry, name) for entry in self.ignore):
            return None
        for scheme in self.schemes:
            if any(_targets(entry, name) for entry in scheme.targets if entry != LINEAR):
                return scheme
        return next((scheme for scheme in self.schemes if LINEAR in scheme.targets), None)


def _scheme(name: str, group: Mapping[str, Any], usual: str | None) -> Scheme | EightBits:
    written = group.get("format") or usual
    check(name, (("format", written, (PACKED, *FORMATS)),))
    return _packed(name, group) if written == PACKED else EightBits.read(name, group)


def _packed(name: str, group: Mapping[str, Any]) -> Scheme:
    weights = group.get("weights") or {}
    checked = (
        ("weights.type", weights.get("type", "int"), ("int",)),
        ("weights.num_bits", weights.get("num_bits"), BITS),
        ("weights.strategy", weights.get("strategy"), ("group", "channel")),
        ("weights.actorder", weights.get("actorder"), ORDERS),
        ("input_activations", group.get("input_activations"), (None,)),
        ("output_activations", group.get("output_activations"), (None,)),
    )
    check(name, checked)
    size = weights.get("group_size") if weights["strategy"] == "group" else -1
    if type(size) is not int or (size != -1 and size < 1):
        raise unusable(f"{name}.weights.group_size", size, "a number of inputs")
    return Scheme(
        weights["num_bits"],
        size,
        bool(weights.get("symmetric", True)),
        weights.get("actorder") in ("group", "dynamic"),
        tuple(group.get("targets") or ()),
    )


def _targets(entry: str, name: str) -> bool:
    """An entry is a module's name, the end of one, or a regular expression after "re:"."""
    if entry.startswith("re:"):
        return re.match(entry.removeprefix("re:"), name) is not None
    return name == entry or name.endswith(f".{entry}")
