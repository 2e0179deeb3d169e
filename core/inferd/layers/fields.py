"""Fields: what a model family reads of a config.json, each value checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inferd.errors import UnsupportedModel

Name = str | tuple[str, ...] | None


class Fields:
    """A config.json under the names the layers use, with a family's own defaults.

    `names` says what this family calls a field ("num_attention_heads" -> "n_head"; of several
    names the first that is there counts; none: it has no such field), `defaults` what transformers
    takes where the field is absent. Raises UnsupportedModel, naming the field as the file does, for
    a value that cannot be used.
    """

    def __init__(
        self, hf: Mapping[str, Any], names: Mapping[str, Name] | None = None, **defaults: Any
    ) -> None:
        self.hf = hf
        self._names = names or {}
        self._defaults = defaults

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it stands in the file, null included; else the family's, else `default`."""
        default = self._defaults.get(key, default)
        return next((self.hf[name] for name in self._spellings(key) if name in self.hf), default)

    def count(
        self, key: str, default: int | None = None, *, null: int | None = None, least: int = 1
    ) -> int:
        """A whole number of at least `least`; `null`, else the default, where it is null."""
        value = self.get(key, default)
        if value is None:
            value = self._defaults.get(key, default) if null is None else null
        if type(value) is not int or value < least:
            raise self.unusable(key, value, f"a whole number of at least {least}")
        return value

    def number(self, key: str, default: float | None = None, *, above: float = -math.inf) -> float:
        """A finite number above `above`."""
        value = self.get(key, default)
        if type(value) not in (int, float) or not above < value < math.inf:
            lower = "" if above == -math.inf else f" above {above:g}"
            raise self.unusable(key, value, f"a number{lower}")
        return float(value)

    def optional(self, key: str) -> float | None:
        """A number above zero, or None where it is absent or null."""
        return None if self.get(key) is None else self.number(key, above=0.0)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.get(key, default)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.unusable(key, value, "true or false")
        return value

    def word(self, key: str, default: str = "") -> str:
        """Anything; what it names says whether it is known."""
        return str(self.get(key) or default)

    def per_layer(self, key: str, known: Sequence[Any], layers: int) -> list[Any] | None:
        """One of `known` for each layer, or None where it is absent or null."""
        found = self.get(key)
        if found is None:
            return None
        usable = isinstance(found, list) and all(item in known for item in found)
        if not usable or len(found) != layers:
            names = " or ".join(map(str, known))
            raise UnsupportedModel(
                f"config.json: {self._name(key)} must name {names} for each of the "
                f"{layers} layers, found {found}"
            )
        return list(found)

    def unusable(self, key: str, value: object, expected: str) -> UnsupportedModel:
        return UnsupportedModel(f"config.json: {self._name(key)} is {value!r}, expected {expected}")

    def _name(self, key: str) -> str:
        spellings = self._spellings(key)
        return next((name for name in spellings if name in self.hf), (*spellings, key)[0])

    def _spellings(self, key: str) -> tuple[str, ...]:
        names = self._names.get(key, key)
        return (names,) if isinstance(names, str) else names or ()
