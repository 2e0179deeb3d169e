"""The machines, short in `make test` and long in `make soak`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from machines import PoolMachine, SchedulerMachine

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
SHORT = settings(max_examples=500, stateful_step_count=50, derandomize=True, **COMMON)
PARTS = 10
LONG = settings(max_examples=20_000 // PARTS, stateful_step_count=200, **COMMON)


class TestScheduler(SchedulerMachine.TestCase):
    settings = SHORT


class TestPool(PoolMachine.TestCase):
    settings = SHORT


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("machine", [SchedulerMachine, PoolMachine])
def test_at_length(machine: type[RuleBasedStateMachine], part: int) -> None:
    """Each part draws its own; Hypothesis remembers a run, so one long run would fill memory."""
    run_state_machine_as_test(machine, settings=LONG)
