"""The machines, short in `make test` and long in `make soak`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from machines import PoolMachine, SchedulerMachine

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
SHORT = settings(max_examples=500, stateful_step_count=50, derandomize=True, **COMMON)
LONG = settings(max_examples=20_000, stateful_step_count=200, **COMMON)


class TestScheduler(SchedulerMachine.TestCase):
    settings = SHORT


class TestPool(PoolMachine.TestCase):
    settings = SHORT


@pytest.mark.soak
class TestSchedulerSoak(SchedulerMachine.TestCase):
    settings = LONG


@pytest.mark.soak
class TestPoolSoak(PoolMachine.TestCase):
    settings = LONG
