"""The in-process executor: order, exceptions, and its thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.errors import DoesNotFit, OutOfMemory
from inferd.execution.in_process import InProcessExecutor
from inferd.types import StepMasks, StepPlan, StepResult

INFO = WorkerInfo(64, 10, 8, 4, (("full", None),), {})


class FakeRunner:
    """Waits before every forward until it is let go."""

    info = INFO

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.threads: set[str] = set()
        self.results: deque[StepResult] = deque()
        self.plan: StepPlan | None = None
        self.masks: list[StepMasks | None] = []
        masks = SimpleNamespace(put=self.masks.append)
        self.table = SimpleNamespace(sampling=SimpleNamespace(masks=masks))

    def forward(self, plan: StepPlan) -> None:
        self.gate.acquire()
        self.threads.add(threading.current_thread().name)
        if plan.step_id == 13:
            raise RuntimeError("unlucky")
        if plan.step_id == 7:
            raise OutOfMemory("2 GiB")
        self.plan = plan

    def sample(self, step_id: int) -> None:
        assert self.plan is not None
        assert self.plan.step_id == step_id
        self.results.append(StepResult(step_id, [], [], []))

    def within_memory(self, launch: Callable[[], None]) -> OutOfMemory | None:
        try:
            launch()
        except OutOfMemory as error:
            return error
        return None

    def collect(self) -> StepResult:
        return self.results.popleft()


def plan(step_id: int) -> StepPlan:
    return StepPlan(step_id, [], [], [], [], [])


def submit(executor: InProcessExecutor, step_id: int) -> None:
    executor.forward(plan(step_id))
    executor.sample(step_id)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    runner = FakeRunner()
    executor = InProcessExecutor(EngineConfig(), "none")
    monkeypatch.setattr(executor, "_build", lambda: runner)
    assert executor.start() == INFO
    yield executor, runner
    runner.gate.release(100)
    executor.stop()


def test_masks_are_put_before_their_step_is_sampled_and_forgotten_with_the_next(made: Any) -> None:
    executor, runner = made
    masks = StepMasks([0], memoryview(bytearray(4)))
    executor.forward(plan(0))
    executor.sample(0, masks)
    submit(executor, 1)
    runner.gate.release(2)
    assert [executor.collect().step_id for _ in range(2)] == [0, 1]
    assert runner.masks == [masks, None]


def test_submitting_returns_before_the_work_is_done(made: Any) -> None:
    executor, runner = made
    for step_id in range(3):
        submit(executor, step_id)  # would hang here if it waited: the gate is shut
    assert not runner.results
    runner.gate.release(3)
    assert [executor.collect().step_id for _ in range(3)] == [0, 1, 2]


def test_one_thread_does_all_the_work(made: Any) -> None:
    executor, runner = made
    runner.gate.release(2)
    for step_id in range(2):
        submit(executor, step_id)
        executor.collect()
    assert runner.threads == {"inferd-worker"}


def test_an_exception_is_raised_by_its_collect_and_by_later_ones(made: Any) -> None:
    executor, runner = made
    runner.gate.release(3)
    for step_id in (12, 13, 14):
        submit(executor, step_id)
    assert executor.collect().step_id == 12
    for _ in range(2):
        with pytest.raises(RuntimeError, match="unlucky"):
            executor.collect()


def test_stop_ends_the_thread_and_may_be_called_again(made: Any) -> None:
    executor, _ = made
    executor.stop()
    executor.stop()
    assert "inferd-worker" not in {thread.name for thread in threading.enumerate()}


def test_stop_before_start() -> None:
    InProcessExecutor(EngineConfig(), "none").stop()


def test_start_raises_what_loading_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = InProcessExecutor(EngineConfig(), "none")

    def fail() -> Any:
        raise DoesNotFit("too large")

    monkeypatch.setattr(executor, "_build", fail)
    with pytest.raises(DoesNotFit, match="too large"):
        executor.start()
    assert "inferd-worker" not in {thread.name for thread in threading.enumerate()}


def test_after_a_step_that_ran_out_of_memory_none_runs_before_a_restart(made: Any) -> None:
    executor, runner = made
    runner.gate.release(100)
    for step_id in (6, 7, 8):
        submit(executor, step_id)
    assert executor.collect().step_id == 6
    for _ in range(2):
        with pytest.raises(OutOfMemory, match="2 GiB"):
            executor.collect()
    executor.forward(StepPlan(9, [], [], [], [], [], restart=True))
    executor.sample(9)
    submit(executor, 10)
    assert [executor.collect().step_id for _ in range(2)] == [9, 10]
