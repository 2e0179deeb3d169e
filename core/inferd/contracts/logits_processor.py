"""LogitsProcessor: changes logits on the device before sampling.

Shape suffixes: N sampling rows of a step, V vocabulary, R rows of the request table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from inferd.params import SamplingParams


class LogitsProcessor(ABC):
    """Made once per worker. State per request lives in columns of the request table."""

    name: ClassVar[str]
    needs_host: ClassVar[bool] = False
    """True costs every batch with such a request the run-ahead; it is said at start."""

    @classmethod
    def columns(cls) -> Mapping[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Columns to add to the request table: name -> (dtype, shape per row)."""
        return {}

    @abstractmethod
    def admit(self, params: SamplingParams) -> Mapping[str, Any] | None:
        """Column values for a new row, or None when this request does not use the processor."""

    @abstractmethod
    def apply(self, logits_NV: Tensor, rows_N: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Change `logits_NV` in place; `columns[name][rows_N]` are the rows' values."""
