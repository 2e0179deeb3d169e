"""InProcessExecutor: one device, its worker a thread of the engine's process."""

from __future__ import annotations

import threading
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from inferd.contracts.executor import Executor, WorkerInfo
from inferd.errors import OutOfMemory
from inferd.types import StepMasks, StepPlan, StepResult

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.runner.model_runner import ModelRunner


class InProcessExecutor(Executor):
    """Plans and samples queue up for the thread that owns the runner; results queue back.

    An exception in a step is raised by the `collect` of that step, and by every later one; after
    OutOfMemory a plan that is a restart is executed again.
    """

    name = "in_process"

    def __init__(self, config: EngineConfig, plugins: str) -> None:
        self._config = config
        self._plugins = plugins
        self._tasks: SimpleQueue[StepPlan | tuple[int, StepMasks | None] | None] = SimpleQueue()
        self._done: SimpleQueue[WorkerInfo | int | Exception] = SimpleQueue()
        self._runner: ModelRunner | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> WorkerInfo:
        self._thread = threading.Thread(target=self._run, name="inferd-worker", daemon=True)
        self._thread.start()
        info = self._done.get()
        if isinstance(info, WorkerInfo):
            return info
        self.stop()
        assert isinstance(info, Exception)
        raise info

    def forward(self, plan: StepPlan) -> None:
        self._tasks.put(plan)

    def sample(self, step_id: int, masks: StepMasks | None = None) -> None:
        self._tasks.put((step_id, masks))

    def collect(self) -> StepResult:
        done = self._done.get()
        if isinstance(done, OutOfMemory):
            raise done
        if isinstance(done, Exception):
            self._done.put(done)
            raise done
        assert self._runner is not None, "collected after stop"
        return self._runner.collect()

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._tasks.put(None)
            thread.join()
        self._runner = None  # its memory is free at once, whoever still holds the engine

    def _run(self) -> None:
        try:
            runner = self._runner = self._build()
            self._done.put(runner.info)
            self._work(runner)
        except Exception as error:
            self._done.put(error)

    def _build(self) -> ModelRunner:
        from inferd.host.host import Host
        from inferd.runner.model_runner import ModelRunner

        options = self._config.plugins.plugin_options
        return ModelRunner(self._config, Host.from_selection(self._plugins, options))

    def _work(self, runner: ModelRunner) -> None:
        lost: OutOfMemory | None = None
        while (task := self._tasks.get()) is not None:
            if isinstance(task, StepPlan):
                lost = None if task.restart else lost
                if lost is None:
                    lost = runner.within_memory(partial(runner.forward, task))
                continue
            step_id, masks = task
            if lost is None:
                runner.table.sampling.masks.put(masks)
                lost = runner.within_memory(partial(runner.sample, step_id))
            self._done.put(lost or step_id)
