"""Who gets in: in order, only where it fits, and with what others computed before."""

from __future__ import annotations

from traces import Desk

from inferd.memory.block_table import GroupSpec
from inferd.types import Logprobs


def test_nobody_overtakes_the_first_that_does_not_fit() -> None:
    desk = Desk(blocks=11, budget=64)
    desk.add("a", 20, max_tokens=3)
    desk.add("b", 20, max_tokens=1)
    desk.add("c", 4, max_tokens=1)
    assert desk.run() == [
        "0: prefill a[0:20]",
        "1: decode a",
        "2: decode a",
        "3: prefill b[0:20] c[0:4]",
    ]


def test_prompts_in_the_works_keep_the_blocks_they_will_need() -> None:
    """a has taken 2 of its 8 blocks; b would fit now, and then force a preemption."""
    desk = Desk(blocks=11, budget=8)
    desk.add("a", 32, max_tokens=2)
    desk.turn()
    desk.add("b", 16, max_tokens=1)
    assert desk.run()[-1].endswith("prefill b[8:16]")
    assert desk.scheduler.stats().num_preemptions == 0


def test_a_lone_request_may_fill_the_pool() -> None:
    desk = Desk(blocks=9, budget=64)
    desk.add("a", 31, max_tokens=1)
    assert desk.run() == ["0: prefill a[0:31]"]


def test_a_window_needs_only_what_it_sees_at_once() -> None:
    desk = Desk(blocks=8, budget=8, groups=(GroupSpec("window", 8),))
    desk.add("a", 60, max_tokens=2)
    assert desk.run()[0] == "0: prefill a[0:8]"
    assert desk.finished() == {"a/0": "length"}


def test_an_equal_prompt_waits_one_step_for_the_one_that_computes_it() -> None:
    desk = Desk(budget=64)
    text = list(range(20))
    desk.add("a", text, max_tokens=2)
    desk.add("b", [*text, 7], max_tokens=2)
    assert desk.run() == [
        "0: prefill a[0:20]",
        "1: decode a, prefill b[20:21]",
        "2: decode b",
    ]
    assert [out.num_cached for out in desk.outputs if out.request_id == "b"] == [20, 0]


def test_nobody_waits_for_another_twice() -> None:
    desk = Desk(budget=64, priority=True)
    text = list(range(17))
    desk.add("a", text[:9], max_tokens=2)
    desk.add("b", text, max_tokens=2)
    assert desk.turn() == "0: prefill a[0:9]"
    desk.add("c", text, max_tokens=2, priority=-1)
    assert desk.turn() == "1: decode a, prefill c[8:17] b[8:17]"


def test_blocks_found_idle_are_no_longer_there_to_allocate() -> None:
    """Of 9 blocks a holds 2 and the cache 3, idle: b takes those, and no more than 3 beside."""
    desk = Desk(blocks=10, budget=64)
    text = list(range(12))
    desk.add("first", text, max_tokens=1)
    desk.run()
    desk.add("a", 7, max_tokens=20)
    desk.turn()
    desk.add("b", [*text, *range(50, 66)], max_tokens=1)
    assert desk.turn() == "2: decode a"


def test_an_aborted_request_never_starts() -> None:
    desk = Desk(rows=1)
    desk.add("a", 3, max_tokens=3)
    desk.add("b", 3, max_tokens=3)
    desk.turn()
    assert desk.scheduler.abort("b") == 1
    assert desk.run() == ["1: decode a", "2: decode a"]
    assert desk.scheduler.stats().num_waiting == 0


def test_the_last_chunk_of_a_prompt_is_worth_waiting_for_too() -> None:
    desk = Desk(budget=16)
    text = list(range(28))
    desk.add("a", text, max_tokens=2)
    desk.turn()
    desk.add("b", text, max_tokens=2)
    assert desk.turns(2) == ["1: prefill a[16:28]", "2: decode a, prefill b[24:28]"]


def test_a_whole_prompt_in_the_cache_leaves_its_last_block_to_compute() -> None:
    desk = Desk(budget=64)
    desk.add("a", list(range(16)), max_tokens=2)
    desk.run()
    desk.add("b", list(range(16)), max_tokens=2)
    assert desk.run()[0] == "2: prefill b[12:16]"


def test_salts_do_not_share() -> None:
    desk = Desk(budget=64)
    desk.add("a", list(range(16)), max_tokens=2)
    desk.run()
    desk.add("b", list(range(16)), max_tokens=2, salt="mine")
    assert desk.run()[0] == "2: prefill b[0:16]"


def test_prompt_logprobs_read_no_cache_and_fill_it() -> None:
    desk = Desk(budget=64)
    text = list(range(16))
    for name in "ab":
        desk.add(name, text, max_tokens=1, prompt_logprobs=0)
        assert desk.schedule().endswith(f"prefill {name}[0:16]")
        (row,) = desk.plans[0].rows
        found = [Logprobs([token], [0.0], 1) for token in text[1:]]
        (output,) = desk.commit(prompt_logprobs={row: found})
        assert output.prompt_logprobs == [None, *found]
    desk.add("c", text, max_tokens=1)
    assert desk.run() == ["2: prefill c[12:16]"]


def test_generated_tokens_are_found_by_the_next_turn_of_a_conversation() -> None:
    desk = Desk(budget=64)
    desk.add("a", list(range(10)), max_tokens=8)
    desk.run()
    answer = [out.token_ids[0] for out in desk.outputs]
    desk.add("b", [*range(10), *answer, 99], max_tokens=1)
    assert desk.run()[-1].endswith("prefill b[16:19]")


def test_tokens_beyond_the_end_never_enter_the_cache() -> None:
    """The step ahead fills a's second block with a token that comes after its end."""
    desk = Desk(budget=64, depth=1)
    desk.add("a", [1, 2, 3, 4, 6, 7], max_tokens=8, stop_token_ids=[9])
    desk.schedule()
    desk.schedule()
    desk.commit(token=9)
    desk.commit(token=8)
    assert len(desk.scheduler.blocks.cache) == 1
