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

ROWS, CONTEXT = 1024, 4096
LAYOUT = CacheLayout(40_000, 16, (GroupSpec(),))
SMALL = CacheLayout(126, 16, (GroupSpec(),))


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
    policy = FcfsPolicy()
    scheduler = Scheduler(options, LAYOUT, CONTEXT, policy, enable_prefix_caching=False, depth=0)
    scheduler.pace = pace
    arrivals = [Arrival(len(each.prompt_ids), each.params.max_tokens or 0) for each in batch]
    return simulate(scheduler, arrivals, cost or CostModel())


@pytest.mark.parametrize("tokens", [64, 300, 512, 8192])
@pytest.mark.parametrize("seed", range(4))
def test_steps_are_those_of_the_scheduler(seed: int, tokens: int) -> None:
    batch = requests(mixed(150, seed))
    assert num_steps(batch, tokens, ROWS, LAYOUT) == simulated(batch, tokens).steps


def test_rows_are_as_few_as_there_may_be() -> None:
    batch = requests([Arrival(10, 100)] * 6)
    assert num_steps(batch, 512, 2, LAYOUT) == 300
    assert num_steps(batch, 512, 1, LAYOUT) == 600


def test_the_longest_begin_first_in_steps_that_are_no_more() -> None:
    batch = requests(mixed())
    ordered, pace = paced(batch, ROWS, LAYOUT, CONTEXT)
    lengths = [request.params.max_tokens or 0 for request in ordered]
    assert pace == PACES[0] and lengths == sorted(lengths, reverse=True)
    assert {each.request_id for each in ordered} == {each.request_id for each in batch}
    report, before = simulated(ordered, pace), simulated(batch, 0)
    assert lengths[0] <= report.steps <= SLACK * lengths[0]
    assert report.seconds < before.seconds


def test_as_they_come_where_it_would_not_help_or_is_not_known() -> None:
    batch = requests(mixed())
    for case, layout in (
        (with_answer(batch, None), LAYOUT),
        (with_answer(batch, CONTEXT), LAYOUT),  # the context ends it earlier
        ([*batch[:-1], replace(batch[-1], priority=1)], LAYOUT),
        (requests([Arrival(200, 300)] * 400), LAYOUT),
        (requests([Arrival(2000, 20 + i % 2) for i in range(400)]), LAYOUT),
        (batch, SMALL),
        ([], LAYOUT),
    ):
        assert paced(case, ROWS, layout, CONTEXT) == (case, 0)


def test_blocks_are_counted_in_every_group_and_for_every_sample() -> None:
    """Rows of 100 tokens have 7 blocks of a group; block 0 is nobody's."""
    batch = requests([Arrival(50, 50)] * 5)
    several = [replace_params(each, n=2) for each in batch]
    for case, groups, blocks in ((batch, 1, 35), (batch, 3, 105), (several, 1, 70)):
        enough, few = (
            CacheLayout(num, 16, (GroupSpec(),) * groups) for num in (blocks + 1, blocks)
        )
        assert num_steps(case, 512, ROWS, enough) == 50
        assert num_steps(case, 512, ROWS, few) == math.inf


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_more_samples_than_rows_come_to_an_end(rows: int) -> None:
    batch = [replace_params(each, n=5) for each in requests([Arrival(700, 9), Arrival(3, 4)] * 20)]
    assert 9 < num_steps(batch, 64, rows, LAYOUT) < math.inf


def with_answer(batch: list[Request], max_tokens: int | None) -> list[Request]:
    """The batch, one of whose answers may have `max_tokens`."""
    return [*batch[:7], replace_params(batch[7], max_tokens=max_tokens), *batch[8:]]


def replace_params(request: Request, **changes: object) -> Request:
    return replace(request, params=replace(request.params, **changes))
