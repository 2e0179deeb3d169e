"""Preemption by recompute: who gives way, and how it comes back."""

from __future__ import annotations

from traces import TOKEN, Desk

from inferd.types import Logprobs, Status


def test_the_last_one_gives_way_and_is_computed_again_with_its_output() -> None:
    desk = Desk(blocks=7, depth=0, caching=False)
    desk.add("a", 8, max_tokens=8)
    desk.add("b", 8, max_tokens=8)
    assert desk.run() == [
        "0: prefill a[0:8] b[0:8]",
        "1: decode a b",
        "2: decode a b",
        "3: decode a b",
        "4: decode a b",
        "5: decode a",
        "6: decode a",
        "7: decode a",
        "8: prefill b[0:13]",
        "9: decode b",
        "10: decode b",
    ]
    assert desk.scheduler.stats().num_preemptions == 1
    assert desk.finished() == {"a/0": "length", "b/0": "length"}
    assert len(desk.outputs) == 16


def test_blocks_that_survived_are_found_again() -> None:
    """b gives one of its blocks to a; its first is still cached when b returns."""
    desk = Desk(blocks=7, depth=0)
    desk.add("a", 8, max_tokens=8)
    desk.add("b", 8, max_tokens=8)
    assert "8: prefill b[8:13]" in desk.run()


def test_a_victim_keeps_its_token_in_flight() -> None:
    desk = Desk(blocks=7, depth=1, caching=False)
    desk.add("a", 8, max_tokens=8)
    desk.add("b", 8, max_tokens=8)
    desk.turns(5)
    (b,) = [seq for seq in desk.scheduler.running.sequences if seq.request.request_id == "b"]
    assert desk.turn() == "5: decode a"
    assert (b.status, b.in_flight, b.output_ids) == (Status.PREEMPTED, 0, [TOKEN] * 5)
    assert b in desk.scheduler.waiting
    desk.run()
    assert desk.finished() == {"a/0": "length", "b/0": "length"}


def test_a_victim_whose_token_in_flight_is_its_last_ends_there() -> None:
    desk = Desk(blocks=7, depth=1)
    desk.add("a", 8, max_tokens=8)
    desk.add("b", 8, eos_ids=[1], max_tokens=8)
    desk.turns(5)
    desk.schedule()
    assert desk.scheduler.stats().num_preemptions == 1
    desk.commit(token=1)
    assert desk.finished() == {"b/0": "stop"}
    assert desk.scheduler.rows.num_free == 7
    desk.run()


def test_a_victim_can_be_aborted_while_its_token_is_in_flight() -> None:
    desk = Desk(blocks=7, depth=1)
    desk.add("a", 8, max_tokens=8)
    desk.add("b", 8, max_tokens=8)
    desk.turns(5)
    desk.schedule()
    assert desk.scheduler.abort("b") == 1
    desk.run()
    assert desk.finished() == {"a/0": "length"}
    assert desk.scheduler.rows.num_free == 8


def test_a_victim_with_its_first_token_in_flight_keeps_its_prompt_logprobs() -> None:
    desk = Desk(budget=4, depth=1)
    desk.add("a", 8, max_tokens=4, prompt_logprobs=0)
    assert [desk.schedule(), desk.schedule()] == ["0: prefill a[0:4]", "1: prefill a[4:8]"]
    found = [Logprobs([i], [0.0], 1) for i in range(7)]
    running = desk.scheduler.running
    (row,) = desk.plans[0].rows
    desk.commit(prompt_logprobs={row: found[:4]})
    running._preempt(running.sequences.pop())
    (output,) = desk.commit(prompt_logprobs={row: found[4:]})
    assert output.prompt_logprobs == [None, *found]


def test_a_victim_in_its_prompt_computes_its_prompt_logprobs_again() -> None:
    desk = Desk(budget=4, depth=1)
    desk.add("a", 8, max_tokens=1, prompt_logprobs=0)
    running = desk.scheduler.running
    found = [Logprobs([i], [0.0], 1) for i in range(7)]
    for lost in (True, False):
        desk.schedule()
        if lost:
            running._preempt(running.sequences.pop())
        (row,) = desk.plans[0].rows
        desk.commit(prompt_logprobs={row: found[:4]})
    desk.schedule()
    (output,) = desk.commit(prompt_logprobs={row: found[4:]})
    assert output.prompt_logprobs == [None, *found]


def test_nobody_takes_the_place_of_a_victim_whose_token_is_in_flight() -> None:
    """c would fit beside a as soon as b is out."""
    desk = Desk(blocks=7, rows=3, depth=1, caching=False)
    desk.add("a", 8, max_tokens=8)
    desk.add("b", 8, max_tokens=8)
    desk.turns(3)
    desk.add("c", 3, max_tokens=1)
    lines = desk.run()
    assert (
        next(line for line in lines if "prefill" in line).split("prefill ")[1] == "b[0:13] c[0:3]"
    )


def test_under_priority_the_least_urgent_gives_way() -> None:
    desk = Desk(blocks=7, depth=0, caching=False, priority=True)
    desk.add("late", 8, max_tokens=8, priority=2)
    desk.add("soon", 8, max_tokens=8, priority=1)
    lines = desk.run()
    assert lines[0] == "0: prefill soon[0:8] late[0:8]"
    assert lines[5] == "5: decode soon"
    assert lines[8] == "8: prefill late[0:13]"
