"""Nobody starves: fcfs admits in order, and what was admitted ends within a computed bound."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import replace

import pytest
from scheduling_world import CONTEXT, Setup, World, draw_request

from inferd.errors import ContextTooLong
from inferd.params import SamplingParams
from inferd.types import Request, Sequence, StepPlan


class Watch:
    """Runs a world as the engine does and notes who is overtaken and who takes how long."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.overtaken: Counter[tuple[int, int]] = Counter()  # (earlier, later) requests, by order
        self.preemptions: Counter[int] = Counter()  # by order
        self.steps = 0
        self.deadlines: dict[tuple[str, int], int] = {}  # admitted samples: the step to end by

    def turn(self) -> None:
        waited = self._unadmitted()
        before = self._preemptions()
        plan = self.world.turn()
        self.steps += 1
        for seq in before:
            self.preemptions[seq.order] += seq.num_preemptions - before[seq]
        if plan is not None:
            self._count_overtaking(plan, waited)
            self._set_deadlines(plan)
        for key, deadline in self.deadlines.items():
            assert key[1] not in self.world.open.get(key[0], ()) or self.steps <= deadline, key

    def _sequences(self) -> list[Sequence]:
        return [seq for each in self.world.scheduler._requests.values() for seq in each]

    def _preemptions(self) -> dict[Sequence, int]:
        return {seq: seq.num_preemptions for seq in self._sequences()}

    def _unadmitted(self) -> dict[int, str]:
        """Requests of which the first sample has no row, by order."""
        waiting = [seq for seq in self._sequences() if seq.index == 0 and seq.row < 0]
        return {seq.order: seq.request.request_id for seq in waiting}

    def _count_overtaking(self, plan: StepPlan, waited: dict[int, str]) -> None:
        order = {seq.request.request_id: seq.order for seq in self._sequences()}
        admitted = {start.request_id for start in plan.new_rows}
        for later in {order[name] for name in admitted if name in order}:
            for earlier, name in waited.items():
                if earlier < later and name not in admitted:
                    self.overtaken[earlier, later] += 1

    def _set_deadlines(self, plan: StepPlan) -> None:
        """While a sequence is the first of all it is no victim and gets tokens in every step, so it
        ends after its prompt's chunks, its outputs and the results in flight. In the worst case
        all that stand before it run one after another.
        """
        for start in plan.new_rows:
            key = (start.request_id, start.index)
            if key in self.deadlines:
                continue
            mine = next((s for s in self._sequences() if _name(s) == key), None)
            if mine is not None:
                ahead = [s for s in self._sequences() if s.key <= mine.key]
                self.deadlines[key] = self.steps + sum(self._alone(s) for s in ahead)

    def _alone(self, seq: Sequence) -> int:
        setup = self.world.setup
        chunks = -(-CONTEXT // min(setup.budget, setup.short or setup.budget))
        return chunks + seq.max_total - seq.num_prompt + 2 * (setup.depth + 1)


def _name(seq: Sequence) -> tuple[str, int]:
    return (seq.request.request_id, seq.index)


@pytest.mark.parametrize("seed", range(40))
def test_fcfs_starves_nobody(seed: int) -> None:
    rng = random.Random(seed)
    setup = replace(Setup.draw(rng), priority=False, depth=seed % 2)
    watch = Watch(World(setup))
    for i in range(60):
        if len(watch.world.open) < 12:
            with contextlib.suppress(ContextTooLong):
                watch.world.submit(draw_request(rng, str(i)))
        for _ in range(rng.randint(0, 12)):
            watch.turn()
    while watch.world.scheduler.has_work:
        watch.turn()
    watch.world.drain()
    assert watch.deadlines
    for (earlier, later), times in watch.overtaken.items():
        assert times <= watch.preemptions[earlier], f"{later} overtook {earlier} {times} times"


def plain(name: str, length: int) -> Request:
    prompt = [1 + i % 5 for i in range(length)]
    params = SamplingParams(max_tokens=6)
    return Request(request_id=name, prompt_ids=prompt, params=params, seed=length)


def test_a_prompt_longer_than_a_step_gets_its_turn_without_chunking() -> None:
    """It is not put off by the short ones that keep coming behind it."""
    world = World(Setup(budget=16, chunked=False, rows=4, blocks=64))
    for i in range(3):
        world.submit(plain(f"short{i}", 4))
    world.submit(plain("long", 50))
    for i in range(40):
        world.submit(plain(f"later{i}", 4))
        for _ in range(3):
            world.turn()
    assert "long" not in world.open
    world.drain()
