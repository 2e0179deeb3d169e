"""100,000 seeded random operations; every one is followed by all checks."""

from __future__ import annotations

import contextlib
import random

import pytest
from scheduling_world import Setup, World, draw_request

from inferd.errors import ContextTooLong

WORLDS, OPERATIONS = 50, 2_000
MOST_OPEN = 24


def operate(world: World, rng: random.Random, name: str) -> None:
    op = rng.random()
    if op < 0.12 and len(world.open) < MOST_OPEN:
        with contextlib.suppress(ContextTooLong):  # some pools are too small for some prompts
            world.submit(draw_request(rng, name))
    elif op < 0.16 and world.open:
        request_id = rng.choice(list(world.open))
        world.abort(request_id, rng.choice([None, *world.open[request_id]]))
    elif op < 0.165 and world.open:
        world.worker.failing.add(rng.choice(list(world.open)))
    elif op < 0.17:
        world.scheduler.reset_prefix_cache()
    elif op < 0.175:
        world.lose()
    elif op < 0.25:
        world.foresee(rng.randrange(8), rng.randint(1, 12))
    elif op < 0.75:
        world.turn()
    elif op < 0.88:
        world.step()
    else:
        world.collect()


@pytest.mark.parametrize("part", range(5))
def test_random_operations_break_no_invariant(part: int) -> None:
    finished = preempted = hits = 0
    for number in range(part * WORLDS // 5, (part + 1) * WORLDS // 5):
        rng = random.Random(number)
        world = World(Setup.draw(rng))
        for i in range(OPERATIONS):
            operate(world, rng, str(i))
        world.drain()
        finished += world.num_finished
        preempted += world.scheduler.counters.num_preemptions
        hits += world.scheduler.counters.prefix_hits
    assert min(finished, preempted, hits) > 50, "the driver went nowhere"
