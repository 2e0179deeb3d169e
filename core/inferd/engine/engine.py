"""Engine: the step loop. Holds the scheduler and an executor, and no tensors."""

from __future__ import annotations

import gc
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from inferd.contracts.executor import WorkerInfo
from inferd.engine.capacity import layout_of
from inferd.engine.grammar_compiler import Backends, GrammarCompiler
from inferd.engine.grammars import Grammars
from inferd.errors import InferdError, OutOfMemory
from inferd.memory.cache_events import CacheEvent, CacheEvents
from inferd.scheduling.scheduler import Scheduler
from inferd.types import Request, SequenceOutput, StepPlan, StepStats

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.host.host import Host

log = logging.getLogger("inferd")
GRAMMAR_S = 0.002  # how long an idle engine waits for a grammar before it looks at messages


class Engine:
    """Requests in, SequenceOutputs out, one step at a time. Not thread-safe.

    With async_scheduling a step is submitted before the results of the one before are collected, so
    the host's work hides behind the device's. `step_synchronously` is the readable oracle.
    """

    def __init__(self, config: EngineConfig, host: Host) -> None:
        self.config = config
        self._host = host
        if config.plugins.grammar_backend is not None:
            host.catalog.grammars.entry(config.plugins.grammar_backend)  # raises if nobody has it
        executor = host.catalog.executors.load(config.plugins.executor)
        self._executor = host.catalog.executors.make(executor, config, host.resolved)
        self._in_flight: deque[int] = deque()  # step ids, oldest first
        self._began: dict[str, float] = {}  # request id -> its first step, until its first token
        self._depth = 1 if config.scheduler.async_scheduling else 0
        self._scheduler: Scheduler
        self._compiler: GrammarCompiler | None = None
        self._grammars: Grammars

    def start(self) -> WorkerInfo:
        """Load the model and size the KV cache. Raises what loading raises.

        What this process holds by then is left out of garbage collections until `stop`: one that
        looked through the model would hold up a step.
        """
        info = self._executor.start()
        policies = self._host.catalog.schedule_policies
        policy = policies.load(self.config.scheduler.scheduling_policy)
        self._scheduler = Scheduler(
            self.config.scheduler.preferring(info.scheduler),
            layout_of(info),
            info.max_model_len,
            policies.make(policy),
            enable_prefix_caching=self.config.cache.enable_prefix_caching,
            depth=self._depth,
            cache_events=CacheEvents(info.block_size) if self.config.cache.kv_events else None,
        )
        backends = Backends(self._host, self.config, info.vocab_size)
        self._compiler = GrammarCompiler(backends.get, self._host.catalog.grammars.names)
        self._grammars = Grammars(self._compiler, info.vocab_size)
        gc.collect()
        gc.freeze()
        return info

    def add(self, request: Request) -> None:
        """Queue a request; raises RequestError when it can never run or the queue is full.

        One with a grammar is queued once that is compiled.
        """
        wanted = request.params.structured_outputs
        if wanted is None:
            self._scheduler.add(request)
            return
        self._scheduler.check(request)
        self._grammars.add(request, wanted)

    def abort(self, request_id: str, index: int | None = None) -> int:
        """Forget a request, or one of its samples; returns how many samples that ended."""
        self._began.pop(request_id, None)
        if (waiting := self._grammars.drop(request_id, index)) is not None:
            return waiting.params.n
        return self._scheduler.abort(request_id, index)

    def reset_prefix_cache(self) -> None:
        self._scheduler.reset_prefix_cache()

    def cache_events(self) -> list[CacheEvent]:
        """Changes of the prefix cache since the last call; none unless --kv-events is set."""
        events = self._scheduler.blocks.events
        return events.take() if events is not None else []

    def pace(self, tokens: int) -> None:
        """Steps of at most so many tokens from now on; 0: as long as the options say."""
        self._scheduler.pace = tokens

    @property
    def has_work(self) -> bool:
        return bool(self._in_flight) or self._scheduler.has_work or self._grammars.has_pending

    def stats(self) -> StepStats:
        return self._scheduler.stats()

    def step(self) -> list[SequenceOutput]:
        """Schedule, submit, collect the step before, commit."""
        outputs = self._admit() if self._grammars.has_pending else []
        if self._depth == 0:
            return outputs + self.step_synchronously()
        plan = self._scheduler.schedule()
        if plan is not None:
            outputs += self._submit(plan)
        if self._in_flight and (plan is None or len(self._in_flight) > self._depth):
            outputs += self._collect()
        return outputs

    def step_synchronously(self) -> list[SequenceOutput]:
        """The same without running ahead: what `step` must be token-identical to."""
        plan = self._scheduler.schedule()
        if plan is None:
            return []
        self._submit(plan)
        return self._collect()

    def _submit(self, plan: StepPlan) -> list[SequenceOutput]:
        """Both launches of a step. Where a grammar restricts a row, the steps before are collected
        between the two, and the masks are made while the first one runs.
        """
        self._executor.forward(plan)
        for start in plan.new_rows:
            if not start.output_ids:
                self._began.setdefault(start.request_id, time.monotonic())
        outputs: list[SequenceOutput] = []
        bound = self._grammars.bound(self._scheduler.in_flight[-1].sampling)
        if not bound:
            self._executor.sample(plan.step_id)
        else:
            while self._in_flight:
                outputs += self._collect()
            if not self._scheduler.in_flight:
                return outputs  # lost with the one before it
            for seq in self._grammars.ended(bound):
                self._scheduler.foresight.end(seq)
            masks = self._grammars.masks(bound)
            self._executor.sample(plan.step_id, masks)
            for seq, after in self._grammars.forced(bound, masks):
                self._scheduler.foresight.follow(seq, after)
        self._in_flight.append(plan.step_id)
        return outputs

    def _collect(self) -> list[SequenceOutput]:
        """The oldest step in flight."""
        self._in_flight.popleft()
        try:
            outputs = self._scheduler.commit(self._executor.collect())
        except OutOfMemory as error:
            outputs = self._lose(str(error))
        if self._began:
            for output in outputs:
                output.began = self._began.pop(output.request_id, 0.0)
        self._grammars.advance(outputs)
        return outputs

    def _lose(self, why: str) -> list[SequenceOutput]:
        """A step, and those that were submitted after it."""
        log.warning("a step ran out of memory: %s", why)
        while self._in_flight:
            self._in_flight.popleft()
            with suppress(OutOfMemory):
                self._executor.collect()
        return self._scheduler.lost.steps(why)

    def _admit(self) -> list[SequenceOutput]:
        """Queue what has its grammar by now; without other work wait a moment for one."""
        idle = not (self._in_flight or self._scheduler.has_work)
        outputs = []
        for request, error in self._grammars.ready(GRAMMAR_S if idle else 0.0):
            try:
                if error is not None:
                    raise error
                self._scheduler.add(request)
            except InferdError as refusal:
                self._grammars.drop(request.request_id)
                outputs += [
                    SequenceOutput(request.request_id, index, [], "error", error=str(refusal))
                    for index in range(request.params.n)
                ]
        return outputs

    def stop(self) -> None:
        """Release the workers; idempotent."""
        self._executor.stop()
        if self._compiler is not None:
            self._compiler.stop()
        gc.unfreeze()
