"""n > 1: samples share the full blocks of their prompt and copy the last one."""

from __future__ import annotations

import pytest
from traces import Desk

from inferd.memory.block_table import GroupSpec


def tables(desk: Desk) -> list[list[int]]:
    return [seq.tables[0] for seq in desk.scheduler.running.sequences]


@pytest.mark.parametrize(("prompt", "shared"), [(9, 2), (11, 2), (12, 2), (13, 3), (4, 0)])
@pytest.mark.parametrize("caching", [True, False])
def test_only_the_last_prompt_token_is_computed_again(
    prompt: int, shared: int, caching: bool
) -> None:
    desk = Desk(depth=0, caching=caching)
    desk.add("a", prompt, n=3, max_tokens=20)
    assert desk.turns(2) == [
        f"0: prefill a/0[0:{prompt}]",
        f"1: decode a/0, prefill a/1[{prompt - 1}:{prompt}] a/2[{prompt - 1}:{prompt}], copy 2",
    ]
    first, second, third = tables(desk)
    assert first[:shared] == second[:shared] == third[:shared]
    own = [set(table[shared:]) for table in (first, second, third)]
    assert not own[0] & own[1] and not own[1] & own[2] and not own[0] & own[2]


def test_the_copy_is_of_the_leaders_block_that_holds_the_last_prompt_token() -> None:
    desk = Desk(depth=0)
    desk.add("a", 12, n=2, max_tokens=20)
    desk.turn()
    desk.schedule()
    first, second = tables(desk)
    assert desk.plans[-1].copies == [(first[2], second[2])]


def test_samples_report_what_the_first_one_found_in_the_cache() -> None:
    desk = Desk(depth=0)
    desk.add("a", 12, n=2, max_tokens=2)
    desk.run()
    assert [out.num_cached for out in desk.outputs] == [0] * 4
    stats = desk.scheduler.stats()
    assert (stats.prefix_queries, stats.prefix_hits) == (12, 0)


def test_samples_of_an_aborted_first_one_go_on_alone() -> None:
    desk = Desk(budget=8)
    desk.add("a", 20, n=2, max_tokens=2)
    desk.turn()
    assert desk.scheduler.abort("a", 0) == 1
    assert desk.run() == ["1: prefill a/1[8:16]", "2: prefill a/1[16:20]", "3: decode a/1"]
    assert desk.finished() == {"a/1": "length"}


def test_a_sample_never_copies_what_its_own_step_computes() -> None:
    """The first one was preempted after it had let the others go, and comes back with them."""
    desk = Desk(depth=0, caching=False, budget=64)
    desk.add("a", 12, n=2, max_tokens=8)
    desk.turn()
    running = desk.scheduler.running
    running._preempt(running.sequences.pop())
    assert desk.turn() == "1: prefill a/0[0:13] a/1[0:12]"


def test_windows_leave_samples_to_the_prefix_cache() -> None:
    desk = Desk(depth=0, groups=(GroupSpec(), GroupSpec("window", 8)))
    desk.add("a", 14, n=2, max_tokens=4)
    assert desk.turns(2)[1] == "1: decode a/0, prefill a/1[12:14]"
    assert [out.num_cached for out in desk.outputs] == [0, 0, 0]


def test_resumed_samples_wait_for_nobody_and_deliver_no_prompt_logprobs_again() -> None:
    desk = Desk(depth=0, budget=64)
    desk.add("a", 3, n=2, max_tokens=4, output_ids=[[7, 8], [9]], prompt_logprobs=0)
    assert desk.schedule() == "0: prefill a/0[0:5] a/1[0:4]"
    assert not any(start.wants_prompt_logprobs for start in desk.plans[0].new_rows)
    desk.commit()
    desk.run()
    assert all(out.prompt_logprobs is None for out in desk.outputs)
    assert len(desk.outputs) == 2 + 3
