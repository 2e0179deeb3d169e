"""Steps that ran out of memory: the one with the longest prompt fails, the others begin again."""

from __future__ import annotations

from traces import TOKEN, Desk

from inferd.types import SequenceOutput


def lose(desk: Desk) -> list[SequenceOutput]:
    desk.plans.clear()
    return desk.scheduler.lost.steps("too much")


def test_the_longest_prompt_of_the_oldest_step_fails() -> None:
    desk = Desk(budget=32)
    desk.add("a", 3)
    desk.schedule()
    desk.commit()
    desk.add("b", 9)
    desk.add("c", 5)
    assert desk.schedule() == "1: decode a, prefill b[0:9] c[0:5]"
    assert desk.schedule() == "2: decode a b c"
    (failed,) = lose(desk)
    assert (failed.request_id, failed.finish_reason, failed.error_code) == (
        "b",
        "error",
        "out_of_memory",
    )
    assert "too much" in (failed.error or "")
    assert desk.schedule() == "3: prefill a[0:4] c[0:5]", "with the token that is known"
    assert desk.plans[-1].restart
    desk.run()
    assert desk.finished() == {"a/0": "length", "c/0": "length"}
    assert desk.scheduler.blocks.pool.num_used == 0


def test_without_a_prompt_the_last_one_fails() -> None:
    desk = Desk()
    for name in "ab":
        desk.add(name, 3)
    desk.schedule()
    desk.commit()
    desk.schedule()
    assert [out.request_id for out in lose(desk)] == ["b"]
    desk.schedule()
    desk.schedule()
    assert [plan.restart for plan in desk.plans] == [True, False]


def test_what_was_foreseen_is_sampled_again() -> None:
    desk = Desk()
    for name in "ab":
        desk.add(name, 3, max_tokens=4)
    desk.schedule()
    first = desk.scheduler.running.sequences[0]
    desk.scheduler.foresight.follow(first, [11, 12])
    lose(desk)
    assert desk.schedule() == "1: prefill b[0:3]"
    assert desk.plans[-1].new_tokens == []


def test_prompts_that_were_not_computed_are_not_found() -> None:
    desk = Desk()
    desk.add("a", list(range(12)))
    desk.schedule()
    assert [out.request_id for out in lose(desk)] == ["a"]
    desk.add("b", list(range(12)))
    assert desk.schedule() == "1: prefill b[0:12]"


def test_nobody_fails_where_all_have_left() -> None:
    desk = Desk()
    desk.add("a", 3)
    desk.schedule()
    desk.scheduler.abort("a")
    assert lose(desk) == []
    assert not desk.scheduler.has_work


def test_those_that_were_preempted_begin_again_too() -> None:
    desk = Desk(blocks=6, caching=False)
    desk.add("a", 7, max_tokens=8)
    desk.add("b", 7, max_tokens=8)
    while not desk.scheduler.counters.num_preemptions:
        desk.turn()
    lose(desk)
    desk.run()
    (end,) = desk.finished().values()
    assert end == "length"
    assert {TOKEN} == {t for out in desk.outputs for t in out.token_ids}
