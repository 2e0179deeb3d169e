"""Results become tokens, ends and outputs; late ones are dropped."""

from __future__ import annotations

import pytest
from traces import TOKEN, Desk

from inferd.types import Logprobs, StepResult


def test_a_stop_token_ends_and_the_step_ahead_is_dropped() -> None:
    desk = Desk()
    desk.add("a", 3, stop_token_ids=[9])
    desk.schedule()
    desk.schedule()
    (output,) = desk.commit(token=9)
    assert (output.finish_reason, output.stop_reason, output.token_ids) == ("stop", 9, [9])
    assert desk.commit() == []


def test_an_end_of_sequence_names_no_stop_reason() -> None:
    desk = Desk()
    desk.add("a", 3, eos_ids=[9])
    desk.schedule()
    (output,) = desk.commit(token=9)
    assert (output.finish_reason, output.stop_reason) == ("stop", None)


def test_stop_tokens_count_from_min_tokens_on() -> None:
    desk = Desk(depth=0)
    desk.add("a", 3, eos_ids=[TOKEN], min_tokens=2)
    desk.run()
    assert [out.finish_reason for out in desk.outputs] == [None, None, "stop"]


def test_a_row_that_has_a_new_tenant_drops_the_old_ones_results() -> None:
    desk = Desk(rows=1)
    desk.add("a", 3)
    desk.schedule()
    desk.scheduler.abort("a")
    desk.add("b", 3)
    assert desk.schedule() == "1: prefill b[0:3]"
    assert desk.plans[0].rows == desk.plans[1].rows
    assert desk.commit() == []
    assert [out.request_id for out in desk.commit()] == ["b"]


def test_blocks_an_aborted_step_computes_are_found_by_others() -> None:
    """The step was submitted: it writes them, whoever reads its result."""
    desk = Desk(budget=64)
    desk.add("a", list(range(12)))
    desk.schedule()
    desk.scheduler.abort("a")
    desk.add("b", list(range(12)))
    assert desk.schedule() == "1: prefill b[8:12]"


def test_freed_blocks_retire_until_the_last_step_that_may_touch_them() -> None:
    desk = Desk(depth=2)
    desk.add("a", 8)
    for _ in range(3):
        desk.schedule()
    desk.scheduler.abort("a")
    pool = desk.scheduler.blocks.pool
    retiring = []
    for _ in range(3):
        retiring.append(pool.num_retiring)
        desk.commit()
    assert retiring == [3, 3, 3]
    assert pool.num_retiring == 0


def test_an_error_ends_its_own_request_only() -> None:
    desk = Desk(depth=0)
    desk.add("a", 3)
    desk.add("b", 3)
    desk.schedule()
    bad, good = desk.commit(errors={desk.plans[0].rows[0]: "broken"})
    assert (bad.finish_reason, bad.error, bad.token_ids) == ("error", "broken", [])
    assert (good.request_id, good.finish_reason) == ("b", None)


def test_logprobs_go_to_the_row_they_belong_to() -> None:
    desk = Desk(depth=0)
    desk.add("a", 3)
    desk.add("b", 3, logprobs=0)
    desk.schedule()
    value = Logprobs([TOKEN], [-0.5], 1)
    a, b = desk.commit(logprobs={desk.plans[0].rows[1]: value})
    assert (a.logprobs, b.logprobs) == (None, [value])


def test_results_come_in_the_order_of_steps() -> None:
    desk = Desk()
    desk.add("a", 3)
    desk.schedule()
    with pytest.raises(RuntimeError, match="expected the result of step 0, got 7"):
        desk.scheduler.commit(StepResult(7, [], [], []))
