"""The base of every options model: frozen, strict about names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

SEVERAL = "several"
"""In the annotation of a list: its flag takes several values at once, else it is repeated."""


class Options(BaseModel):
    """Options of one concern. Immutable; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def preferring(self, values: Mapping[str, Any]) -> Self:
        """With `values` for the options that were not named."""
        update = {name: values[name] for name in values.keys() - self.model_fields_set}
        return self.model_copy(update=update)
