"""Engine: the step loop. Holds the scheduler and an executor, and no tensors."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from inferd.contracts.executor import WorkerInfo
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.scheduling.scheduler import Scheduler
from inferd.types import Request, SequenceOutput, StepStats

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.host.host import Host


class Engine:
    """Requests in, SequenceOutputs out, one step at a time. Not thread-safe.

    With async_scheduling a step is submitted before the results of the one before are collected, so
    the host's work hides behind the device's. `step_synchronously` is the readable oracle.
    """

    def __init__(self, config: EngineConfig, host: Host) -> None:
        self.config = config
        self._host = host
        executor = host.catalog.executors.load(config.plugins.executor)
        self._executor = host.catalog.executors.make(executor, config, host.resolved)
        self._in_flight: deque[int] = deque()  # step ids, oldest first
        self._depth = 1 if config.scheduler.async_scheduling else 0
        self._scheduler: Scheduler

    def start(self) -> WorkerInfo:
        """Load the model and size the KV cache. Raises what loading raises."""
        info = self._executor.start()
        policies = self._host.catalog.schedule_policies
        policy = policies.load(self.config.scheduler.scheduling_policy)
        layout = CacheLayout(
            num_blocks=info.num_blocks,
            block_size=info.block_size,
            groups=tuple(GroupSpec(kind, window) for kind, window in info.groups),
        )
        self._scheduler = Scheduler(
            self.config.scheduler.preferring(info.scheduler),
            layout,
            info.max_model_len,
            policies.make(policy),
            enable_prefix_caching=self.config.cache.enable_prefix_caching,
            depth=self._depth,
        )
        return info

    def add(self, request: Request) -> None:
        """Queue a request; raises RequestError when it can never run or the queue is full."""
        self._scheduler.add(request)

    def abort(self, request_id: str, index: int | None = None) -> int:
        """Forget a request, or one of its samples; returns how many samples that ended."""
        return self._scheduler.abort(request_id, index)

    def reset_prefix_cache(self) -> None:
        self._scheduler.reset_prefix_cache()

    @property
    def has_work(self) -> bool:
        return bool(self._in_flight) or self._scheduler.has_work

    def stats(self) -> StepStats:
        return self._scheduler.stats()

    def step(self) -> list[SequenceOutput]:
        """Schedule, submit, collect the step before, commit."""
        if self._depth == 0:
            return self.step_synchronously()
        plan = self._scheduler.schedule()
        if plan is not None:
            self._executor.forward(plan)
            self._executor.sample(plan.step_id)
            self._in_flight.append(plan.step_id)
        if not self._in_flight or (plan is not None and len(self._in_flight) <= self._depth):
            return []
        self._in_flight.popleft()
        return self._scheduler.commit(self._executor.collect())

    def step_synchronously(self) -> list[SequenceOutput]:
        """The same without running ahead: what `step` must be token-identical to."""
        plan = self._scheduler.schedule()
        if plan is None:
            return []
        self._executor.forward(plan)
        self._executor.sample(plan.step_id)
        return self._scheduler.commit(self._executor.collect())

    def stop(self) -> None:
        """Release the workers; idempotent."""
        self._executor.stop()
