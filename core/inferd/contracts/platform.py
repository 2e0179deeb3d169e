"""Platform: the hardware a worker runs on. Key in its registry: the platform's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from inferd.contracts.verdict import Verdict

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Recorded(Protocol):
    """Launches to be replayed. They read and write the memory that they used when recorded."""

    def replay(self) -> Sequence[Tensor]:
        """What the recorded function returned: valid until anything recorded is replayed again."""


class RecordedAsItRan(Recorded, Protocol):
    """Recording did what was recorded, once."""

    @property
    def outputs(self) -> Sequence[Tensor]:
        """What the recorded function returned, as `replay` says it."""


Record = Callable[[Callable[[], "Sequence[Tensor]"]], RecordedAsItRan]


class CannotRecord(Exception):
    """What was to be recorded depends on values that another time are others."""


class Platform(ABC):
    """Made once per worker process, before any tensor."""

    name: ClassVar[str]
    scheduler_defaults: ClassVar[Mapping[str, int]] = {}
    """Values of SchedulerOptions that suit this hardware, where the user names none."""

    rehearsed_tokens: ClassVar[int | None] = None
    """Of the step that runs before any request, so that none waits for a compiler; None: as many as
    a step may have, where the kernels or the memory of those are others."""

    can_record: ClassVar[bool] = False
    """Whether launches can be recorded and replayed as one."""

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

    def peak_bytes(self, run: Callable[[], object]) -> int:  # noqa: ARG002
        """Bytes that `run` needs beyond what is held before it; 0, unrun, where it is not planned.

        The KV cache is sized from what is left when the largest step has run like this.
        """
        return 0

    def record(self, run: Callable[[], Sequence[Tensor]]) -> Recorded:
        """What `run` launches; only asked of platforms that say `can_record`.

        `run` has run before, so it compiles nothing. All that is recorded shares one memory.
        """
        raise NotImplementedError(f"{self.name} cannot record {run}")

    def synchronize(self) -> None:  # noqa: B027 - a device without a queue has nothing to wait for
        """Wait for submitted work; only at start, for benchmarks and at shutdown."""
