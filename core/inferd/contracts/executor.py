"""Executor: where workers live. The engine speaks to it in plans and results only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from inferd.types import StepMasks, StepPlan, StepResult

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a started worker reports."""

    max_model_len: int
    vocab_size: int
    num_blocks: int
    block_size: int
    groups: tuple[tuple[str, int | None], ...]  # (kind, window) per KV group
    summary: dict[
        str, Any
    ]  # for the banner: device, dtype, bytes of weights and KV, seconds, choices
    scheduler: dict[str, int] = field(
        default_factory=dict
    )  # SchedulerOptions that the platform set, because the user named none


class Executor(ABC):
    """Plans are executed in the order they are submitted; results return in that order."""

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, config: EngineConfig, plugins: str) -> None: ...

    @abstractmethod
    def start(self) -> WorkerInfo:
        """Build workers and load the model. Raises what loading raises."""

    @abstractmethod
    def forward(self, plan: StepPlan) -> None:
        """Submit the forward pass of a step; returns at once."""

    @abstractmethod
    def sample(self, step_id: int, masks: StepMasks | None = None) -> None:
        """Submit the sampling of the step whose forward was submitted last; returns at once.

        `masks` are given when a grammar restricts any of its rows.
        """

    @abstractmethod
    def collect(self) -> StepResult:
        """Wait for the oldest step that has not been collected.

        Raises OutOfMemory for a step that needed more memory than there was, and for all later ones
        up to a plan that is a restart: they are not executed, since they would read what that one
        did not write. Whatever else it raises ends the engine.
        """

    @abstractmethod
    def stop(self) -> None:
        """Release everything; idempotent."""
