"""Platform: the hardware a worker runs on. Key in its registry: the platform's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from inferd.contracts.verdict import Verdict

if TYPE_CHECKING:
    import torch


class Platform(ABC):
    """Made once per worker process, before any tensor."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def detect(cls) -> Verdict:
        """Whether this machine has the hardware; must not initialise it."""

    @abstractmethod
    def prepare(self) -> None:
        """Set threads, allocator and device of this process; called once."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where tensors live."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """The key of tuning tables, for example 'sm_90' or 'x86_avx512_bf16'."""

    @abstractmethod
    def preferred_dtype(self, checkpoint: torch.dtype) -> torch.dtype:
        """What `--dtype auto` means here for weights stored as `checkpoint`."""

    @abstractmethod
    def free_memory(self) -> int:
        """Bytes that a KV cache may be cut from right now."""

    @abstractmethod
    def default_kv_bytes(self, free: int, utilization: float) -> int:
        """KV cache size in bytes when the user names none."""

    def synchronize(self) -> None:  # noqa: B027 - a device without a queue has nothing to wait for
        """Wait for submitted work; only for benchmarks and shutdown."""
