"""WeightLoader: reads one checkpoint format. It yields raw tensors; it does not unpack them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from inferd.contracts.verdict import Verdict

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class RawTensor:
    """A tensor as stored. `name` follows Hugging Face's names whatever the format."""

    name: str
    shape: tuple[int, ...]  # logical, Hugging Face's order: [out, in]
    storage: str  # float32, bfloat16, float16, int32, gguf_q4_1, ...
    data: torch.Tensor  # typed for plain storage, uint8 rows for packed ones
    unpack_rows: Callable[[torch.Tensor], torch.Tensor] | None = None  # packed rows -> float32 rows

    def unpack(self, dtype: torch.dtype) -> torch.Tensor:
        """The values as a dense tensor of `shape` in `dtype`."""
        dense = self.data if self.unpack_rows is None else self.unpack_rows(self.data)
        return dense.reshape(self.shape).to(dtype)


class WeightLoader(ABC):
    """One opened checkpoint. Registered under its load format: safetensors, gguf, dummy.

    Raises CheckpointError, naming file and tensor, for what is truncated, overlapping or misshapen.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def matches(cls, path: Path) -> Verdict:
        """Whether this loader reads what lies at `path` (a directory or a file)."""

    @abstractmethod
    def __init__(self, path: Path) -> None: ...

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """config.json, or the same keys made from the format's own metadata."""

    @property
    @abstractmethod
    def generation_config(self) -> dict[str, Any]:
        """generation_config.json or {}."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Bytes of all tensors as stored, for progress and speed."""

    def names(self) -> Collection[str] | None:
        """Of all tensors, where they are known before one is read; else None."""
        return None

    @abstractmethod
    def tensors(self) -> Iterator[RawTensor]:
        """Every tensor once, in file order, read lazily."""
