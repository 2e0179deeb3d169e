"""The queue of those without a row."""

from __future__ import annotations

from inferd.params import SamplingParams
from inferd.scheduling.policy import FcfsPolicy, PriorityPolicy
from inferd.scheduling.rows import Rows
from inferd.scheduling.waiting import SLACK, WaitingQueue
from inferd.types import Request, Sequence


def sequence(order: int, priority: int = 0, index: int = 0) -> Sequence:
    params = SamplingParams(n=2)
    request = Request(
        request_id=str(order), prompt_ids=[1], params=params, seed=0, priority=priority
    )
    made = Sequence(request, index, 16, order)
    made.key = FcfsPolicy().key(made)
    return made


def test_the_smallest_key_comes_first() -> None:
    queue = WaitingQueue()
    members = [sequence(order) for order in (2, 0, 1)]
    for seq in members:
        queue.push(seq)
    popped = []
    while queue.peek() is not None:
        popped.append(queue.pop().order)
    assert popped == [0, 1, 2]


def test_the_discarded_are_passed_over() -> None:
    queue = WaitingQueue()
    first, second = sequence(0), sequence(1)
    queue.push(first)
    queue.push(second)
    queue.discard(first)
    assert (first in queue, len(queue), queue.peek()) == (False, 1, second)


def test_tokens_of_those_that_wait_are_counted() -> None:
    queue = WaitingQueue()
    first, second = sequence(0), sequence(1)
    for seq in (first, second, second):
        queue.push(seq)
    assert queue.num_tokens == 2
    queue.discard(first)
    queue.discard(first)
    assert (queue.peek(), queue.num_tokens) == (second, 1)
    queue.pop()
    assert queue.num_tokens == 0


def test_aborts_behind_a_blocked_head_do_not_pile_up() -> None:
    queue = WaitingQueue()
    second, head = sequence(1), sequence(0)
    queue.push(second)
    queue.push(head)
    for order in range(2, 1000):
        later = sequence(order)
        queue.push(later)
        queue.discard(later)
    assert len(queue._heap) <= 2 * 2 + SLACK
    assert queue.peek() is head


def test_policies_order_by_arrival_and_by_urgency() -> None:
    early, late = sequence(0, priority=5), sequence(1, priority=1)
    second = sequence(0, priority=5, index=1)
    by_arrival, by_urgency = FcfsPolicy().key, PriorityPolicy().key
    assert sorted([late, second, early], key=by_arrival) == [early, second, late]
    assert sorted([early, second, late], key=by_urgency) == [late, early, second]


def test_every_tenancy_of_a_row_has_its_own_epoch() -> None:
    rows = Rows(1)
    seq = sequence(0)
    rows.enter(seq)
    row, epoch = seq.row, seq.epoch
    rows.leave(seq)
    assert (seq.row, seq.epoch, rows.num_free) == (-1, -1, 1)
    rows.enter(seq)
    assert seq.row == row and seq.epoch != epoch
