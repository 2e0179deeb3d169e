"""How an offline batch begins: the plan of its steps is what the scheduler then does."""

from __future__ import annotations

import math
import random

import pytest
from msgspec.structs import replace

from inferd.config.scheduler import SchedulerOptions
from inferd.engine.pacing import PACES, SLACK, num_steps, paced
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.scheduling.policy import FcfsPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.simulate import Arrival, CostModel, Report, simulate
from inferd.types import Request

ROWS, BLOCKS = 1024, 40_000  # of 16 tokens
ROOM = 16 * BLOCKS


def mixed(num: int = 400, seed: int = 0) -> list[Arrival]:
    """Prompts and answers of all lengths, few of them long."""
    draw = random.Random(seed)
    lengths = [int(min(1024, draw.lognormvariate(5, 0.9))) for _ in range(2 * num)]
    return [
        Arrival(max(1, a), max(1, b)) for a, b in zip(lengths[:num], lengths[num:], strict=True)
    ]


def requests(arrivals: list[Arrival]) -> list[Request]:
    return [arrival.request(number) for number, arrival in enumerate(arrivals)]


def simulated(batch: list[Request], pace: int, cost: CostModel | None = None) -> Report:
    """The batch by the scheduler itself, in its order."""
    options = SchedulerOptions(
        max_num_seqs=ROWS, max_num_batched_tokens=8192, max_num_queued_reqs=len(batch)
    )
    layout = CacheLayout(BLOCKS, 16, (GroupSpec(),))
    scheduler = Scheduler(options, layout, 4096, FcfsPolicy(), enable_prefix_caching=False, depth=0)
    scheduler.pace = pace
    arrivals = [Arrival(len(each.prompt_ids), each.params.max_tokens or 0) for each in batch]
    return simulate(scheduler, arrivals, cost or CostModel())


@pytest.mark.parametrize("tokens", [64, 300, 512, 8192])
@pytest.mark.parametrize("seed", range(4))
def test_steps_are_those_of_the_scheduler(seed: int, tokens: int) -> None:
    batch = requests(mixed(150, seed))
    assert num_steps(batch, tokens, ROWS, ROOM) == simulated(batch, tokens).steps


def test_rows_are_as_few_as_there_may_be() -> None:
    batch = requests([Arrival(10, 100)] * 6)
    assert num_steps(batch, 512, 2, ROOM) == 300
    assert num_steps(batch, 512, 1, ROOM) == 600


def test_the_longest_begin_first_in_steps_that_are_no_more() -> None:
    batch = requests(mixed())
    ordered, pace = paced(batch, ROWS, ROOM)
    lengths = [request.params.max_tokens or 0 for request in ordered]
    assert pace == PACES[0] and lengths == sorted(lengths, reverse=True)
    assert {each.request_id for each in ordered} == {each.request_id for each in batch}
    report, before = simulated(ordered, pace), simulated(batch, 0)
    assert lengths[0] <= report.steps <= SLACK * lengths[0]
    assert report.seconds < before.seconds


def test_as_they_come_where_it_would_not_help_or_is_not_known() -> None:
    batch = requests(mixed())
    unknown = replace_params(batch[7], max_tokens=None)
    for case, room in (
        ([*batch[:7], unknown, *batch[8:]], ROOM),
        ([*batch[:-1], replace(batch[-1], priority=1)], ROOM),
        (requests([Arrival(200, 300)] * 400), ROOM),
        (requests([Arrival(2000, 20 + i % 2) for i in range(400)]), ROOM),
        (batch, 2000),
        ([], ROOM),
    ):
        assert paced(case, ROWS, room) == (case, 0)
    assert num_steps(batch, 512, ROWS, 2000) == math.inf


def replace_params(request: Request, **changes: object) -> Request:
    return replace(request, params=replace(request.params, **changes))
