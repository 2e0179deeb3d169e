"""What each step computes, as traces."""

from __future__ import annotations

import pytest
from traces import CONTEXT, Desk

from inferd.errors import ContextTooLong, RequestError
from inferd.memory.block_table import GroupSpec


def test_prompts_are_computed_beside_decodes_within_the_budget() -> None:
    desk = Desk(budget=16)
    desk.add("a", 10, max_tokens=5)
    desk.add("b", 22, max_tokens=3)
    assert desk.run() == [
        "0: prefill a[0:10] b[0:6]",
        "1: decode a, prefill b[6:21]",
        "2: decode a b",
        "3: decode a b",
        "4: decode a b",
    ]
    assert desk.finished() == {"a/0": "length", "b/0": "length"}


def test_the_last_prompt_token_alone_in_a_step_is_still_a_prompt() -> None:
    """Its sibling may start, though the step looks like a decode."""
    desk = Desk(budget=7)
    desk.add("a", 8, n=2, max_tokens=2)
    assert desk.run() == [
        "0: prefill a/0[0:7]",
        "1: decode a/0",
        "2: decode a/0, prefill a/1[7:8], copy 1",
        "3: decode a/1",
    ]


def test_without_chunking_a_prompt_waits_for_a_step_with_room() -> None:
    desk = Desk(budget=16, chunked=False)
    desk.add("a", 10, max_tokens=3)
    desk.add("b", 14, max_tokens=1)
    assert desk.run() == [
        "0: prefill a[0:10]",
        "1: decode a, prefill b[0:14]",
        "2: decode a",
    ]


def test_without_chunking_a_prompt_above_the_budget_is_split_and_never_exceeds_it() -> None:
    desk = Desk(budget=16, chunked=False)
    desk.add("a", 2, max_tokens=4)
    desk.add("b", 35, max_tokens=1)
    assert desk.run() == [
        "0: prefill a[0:2] b[0:14]",
        "1: decode a, prefill b[14:29]",
        "2: decode a, prefill b[29:35]",
        "3: decode a",
    ]


def test_steps_are_short_beside_what_runs_while_little_waits() -> None:
    desk = Desk(budget=64, short=4)
    desk.add("a", 6, max_tokens=4)
    desk.add("b", 8, max_tokens=2)
    assert desk.run() == [
        "0: prefill a[0:4]",
        "1: prefill a[4:6] b[0:3]",
        "2: decode a, prefill b[3:8]",
        "3: decode a b",
        "4: decode a",
    ]


def test_steps_are_longer_the_more_waits() -> None:
    desk = Desk(budget=64, short=4, depth=0)
    for name in "abcdef":
        desk.add(name, 20)
    sizes = [int(step.partition("[0:")[2].partition("]")[0]) for step in desk.run()[:1]]
    assert sizes == [6 * 20 // 8]
    desk = Desk(budget=10, short=4)
    for name in "abcdef":
        desk.add(name, 20)
    assert desk.run()[0] == "0: prefill a[0:10]"


def test_steps_are_longer_beside_more_rows() -> None:
    desk = Desk(budget=200, short=4, depth=0, rows=80, blocks=400)
    for number in range(64):
        desk.add(str(number), 1, max_tokens=90)
    while not (desk.turn() or "").endswith("decode " + " ".join(map(str, range(64)))):
        pass
    desk.add("z", 30)
    assert (desk.turn() or "").endswith(f"prefill z[0:{4 * 64 // 32}]")


def test_prompts_that_are_not_to_be_split_need_no_short_steps() -> None:
    desk = Desk(budget=16, short=4, chunked=False)
    desk.add("a", 10, max_tokens=1)
    assert desk.run() == ["0: prefill a[0:10]"]


def test_a_step_ahead_stops_at_the_length_that_is_known() -> None:
    desk = Desk(depth=1)
    desk.add("a", 3, max_tokens=2)
    assert [desk.schedule() for _ in range(2)] == ["0: prefill a[0:3]", "1: decode a"]
    desk.commit()
    assert desk.schedule() is None


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_more_steps_than_the_depth_run_ahead(depth: int) -> None:
    desk = Desk(depth=depth)
    desk.add("a", 3, max_tokens=20)
    desk.add("b", 3, max_tokens=20)
    made = [desk.schedule() for _ in range(depth + 2)]
    expected_steps = depth + 1 if depth else 1
    assert [text is not None for text in made] == [True] * expected_steps + [False]


def test_rows_and_blocks_come_back() -> None:
    desk = Desk(rows=2)
    for name in "abcde":
        desk.add(name, 9, max_tokens=3)
    desk.run()
    pool = desk.scheduler.blocks.pool
    assert (pool.num_used, pool.num_retiring, desk.scheduler.rows.num_free) == (0, 0, 2)
    assert not desk.scheduler.has_work


def test_a_sliding_window_lets_go_of_what_no_query_sees() -> None:
    desk = Desk(blocks=9, budget=8, groups=(GroupSpec("window", 8),))
    desk.add("a", 100, max_tokens=60)
    desk.turns(13)
    (table,) = desk.scheduler.running.sequences[0].tables
    assert [bool(block) for block in table] == [False] * 22 + [True] * 3
    desk.run()
    assert desk.finished() == {"a/0": "length"}


@pytest.mark.parametrize(
    ("prompt", "params", "text"),
    [
        (CONTEXT, {}, "the prompt has 256 tokens and the context is 256"),
        (100, {"max_tokens": 100}, "need 50 KV blocks and there are 40"),
    ],
)
def test_what_can_never_run_is_refused(prompt: int, params: dict[str, int], text: str) -> None:
    desk = Desk(blocks=41)
    with pytest.raises(ContextTooLong, match=text):
        desk.add("a", prompt, **params)
    assert not desk.scheduler.has_work


def test_a_full_queue_and_an_id_in_use_are_refused() -> None:
    desk = Desk(queue=2)
    desk.add("a", 3)
    with pytest.raises(RequestError, match="'a' is already running"):
        desk.add("a", 3)
    desk.add("b", 3)
    with pytest.raises(RequestError, match=r"2 requests are waiting") as info:
        desk.add("c", 3)
    assert info.value.code == "queue_full"


def test_statistics_count_what_happened() -> None:
    desk = Desk()
    desk.add("a", 8, max_tokens=2)
    desk.run()
    desk.add("b", [1000 * ord("a") + i for i in range(8)], max_tokens=2)
    desk.run()
    stats = desk.scheduler.stats()
    assert (stats.num_steps, stats.num_tokens) == (4, 9 + 5)
    assert (stats.prefix_queries, stats.prefix_hits) == (16, 4)
    assert (stats.num_running, stats.num_waiting, stats.num_blocks_used) == (0, 0, 0)
