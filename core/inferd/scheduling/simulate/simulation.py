"""The loop of Engine.step with a clock in place of a device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from inferd.errors import RequestError
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.simulate.cost import CostModel
from inferd.scheduling.simulate.report import KVUse, Report, Times
from inferd.scheduling.simulate.trace import Arrival
from inferd.types import StepPlan, StepResult

Observer = Callable[[Scheduler], None]


def simulate(
    scheduler: Scheduler,
    trace: Sequence[Arrival],
    cost: CostModel,
    observe: Observer = lambda _: None,
) -> Report:
    """Serve the trace to its end. The host takes no time, outputs appear when a step is collected.

    `observe` sees the scheduler after every step it made. Requests it refuses are counted.
    """
    return _Simulation(scheduler, trace, cost, observe).run()


class _Simulation:
    def __init__(
        self, scheduler: Scheduler, trace: Sequence[Arrival], cost: CostModel, observe: Observer
    ) -> None:
        self._scheduler = scheduler
        self._coming = deque(enumerate(trace))
        self._cost = cost
        self._observe = observe
        self._now = 0.0  # seconds
        self._device_free = 0.0
        self._in_flight: deque[tuple[float, StepPlan]] = deque()  # when it ends
        self._times = {str(i): Times(arrival) for i, arrival in enumerate(trace)}
        self._kv = KVUse(scheduler)

    def run(self) -> Report:
        while self._coming or self._scheduler.has_work:
            self._arrive()
            plan = self._scheduler.schedule()
            if plan is not None:
                self._submit(plan)
            if self._in_flight and (plan is None or len(self._in_flight) > self._scheduler.depth):
                self._collect()
            elif plan is None and self._coming:
                self._now = max(self._now, self._coming[0][1].at)
        return Report.of(self._times.values(), self._kv, self._scheduler.stats(), self._now)

    def _arrive(self) -> None:
        while self._coming and self._coming[0][1].at <= self._now:
            number, arrival = self._coming.popleft()
            try:
                self._scheduler.add(arrival.request(number))
            except RequestError:
                self._times[str(number)].refused = True

    def _submit(self, plan: StepPlan) -> None:
        start = max(self._now, self._device_free)
        self._device_free = start + self._cost.step_ms(plan) / 1e3
        self._in_flight.append((self._device_free, plan))
        self._kv.measure()
        self._observe(self._scheduler)

    def _collect(self) -> None:
        ends, plan = self._in_flight.popleft()
        self._now = max(self._now, ends)
        for output in self._scheduler.commit(_result(plan)):
            self._times[output.request_id].token(self._now)


def _result(plan: StepPlan) -> StepResult:
    """Every row that samples gets token 0."""
    sampling = [i for i, samples in enumerate(plan.samples) if samples]
    rows = [plan.rows[i] for i in sampling]
    epochs = [plan.epochs[i] for i in sampling]
    return StepResult(plan.step_id, rows, epochs, [0] * len(sampling))
