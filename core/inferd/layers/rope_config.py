"""What checkpoints say of their rotary embeddings, in the spellings that there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from inferd.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Rope:
    """What a checkpoint says about its rotation, from either spelling.

    transformers 5 writes `rope_parameters`; before, it was `rope_theta` and `rope_scaling`.
    """

    kind: str
    theta: float
    partial: float
    parameters: Mapping[str, Any]
    size: int  # rotated elements of a head
    trained: float  # positions the model was made for: max_position_embeddings
    original: float  # positions before the stretch
    served: int  # positions it will see

    @classmethod
    def read(
        cls,
        hf: Mapping[str, Any],
        head_dim: int,
        served: int,
        rotated: int | None = None,
        theta: float = 10000.0,
    ) -> Self:
        """`rotated` of the elements of a head, all unless said; `theta` where `hf` has none.

        Raises UnsupportedModel for a value of a wrong type.
        """
        found = hf.get("rope_scaling") or hf.get("rope_parameters") or {}
        if not isinstance(found, Mapping):
            raise UnsupportedModel(f"config.json: rope_scaling is {found!r}, expected an object")
        trained = hf.get("max_position_embeddings") or served
        original = hf.get("original_max_position_embeddings")
        original = original or found.get("original_max_position_embeddings") or trained
        return cls(
            kind=str(found.get("rope_type") or found.get("type") or "default"),
            theta=positive("rope_theta", found.get("rope_theta") or hf.get("rope_theta") or theta),
            partial=positive(
                "partial_rotary_factor",
                found.get("partial_rotary_factor") or hf.get("partial_rotary_factor") or 1.0,
            ),
            parameters=found,
            size=head_dim if rotated is None else rotated,
            trained=positive("max_position_embeddings", trained),
            original=positive("original_max_position_embeddings", original),
            served=served,
        )

    def number(self, name: str, default: float | None = None) -> float:
        """A parameter; raises UnsupportedModel where it is wrong, or missing with no default."""
        value = self.parameters.get(name)
        return positive(name, default if value is None else value, f" for rope_type {self.kind!r}")


def rotated_size(hf: Mapping[str, Any], head_dim: int, default: float) -> int:
    """Elements of a head that partial_rotary_factor, or `default`, lets rotate.

    Raises UnsupportedModel for a factor that is no share, or leaves half a pair.
    """
    found = hf.get("rope_scaling") or hf.get("rope_parameters")
    inner = found.get("partial_rotary_factor") if isinstance(found, Mapping) else None
    factor = inner or hf.get("partial_rotary_factor") or default
    size = int(head_dim * positive("partial_rotary_factor", factor))
    if not 0 < size <= head_dim or size % 2 or head_dim % 2:
        raise UnsupportedModel(
            f"config.json: partial_rotary_factor {factor:g} rotates {size} of {head_dim} elements; "
            "heads are rotated by pairs"
        )
    return size


def rope_of_kind(
    hf: Mapping[str, Any], kind: str, theta: float, older: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What is said of the rotation of one kind of layers, in the form that `Rope.read` takes.

    transformers 5 writes `rope_parameters` by kind; `older` is what the spelling before it says,
    `theta` what holds where neither says any.
    """
    length = {"max_position_embeddings": hf.get("max_position_embeddings"), "rope_theta": theta}
    by_kind = hf.get("rope_parameters")
    said = by_kind.get(kind) if isinstance(by_kind, Mapping) else None
    if isinstance(said, Mapping):
        return {**length, "rope_parameters": said}
    return {**length, **older}


def positive(name: str, value: object, purpose: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UnsupportedModel(
            f"config.json: {name} is {value!r}, expected a number above 0{purpose}"
        )
    return float(value)
