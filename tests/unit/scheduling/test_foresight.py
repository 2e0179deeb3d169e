"""Tokens that are known before they are sampled are computed together, and handed out together."""

from __future__ import annotations

import pytest
from traces import TOKEN, Desk

from inferd.scheduling.step import FEW
from inferd.types import Sequence


def decoding(desk: Desk, prompt: int = 3, **params: object) -> Sequence:
    """With the token after the prompt in flight; its step is collected at depth 0."""
    desk.add("a", prompt, **params)
    desk.schedule()
    return desk.scheduler.running.sequences[0]


@pytest.mark.parametrize("depth", [0, 1])
def test_what_follows_is_computed_in_one_step(depth: int) -> None:
    desk = Desk(depth=depth)
    seq = decoding(desk)
    desk.scheduler.foresight.follow(seq, [11, 12, 13])
    if depth == 0:
        assert desk.commit()[0].token_ids == [TOKEN, 11, 12, 13]
    assert desk.schedule() == "1: prefill a[3:7]"
    plan = desk.plans[-1]
    assert plan.new_tokens == [(seq.row, 4, 11), (seq.row, 5, 12), (seq.row, 6, 13)]
    assert plan.num_tokens == [1] * 4, "as uniform as a step of decodes"
    assert list(zip(plan.starts, plan.samples, strict=True)) == [
        (6, True),
        (3, False),
        (4, False),
        (5, False),
    ]
    if depth == 1:
        assert desk.commit()[0].token_ids == [TOKEN, 11, 12, 13]
    assert desk.commit()[0].token_ids == [TOKEN]
    assert seq.output_ids == [TOKEN, 11, 12, 13, TOKEN]
    assert desk.schedule() == "2: decode a"


def test_much_that_follows_is_a_chunk() -> None:
    desk = Desk()
    seq = decoding(desk, max_tokens=50)
    desk.scheduler.foresight.follow(seq, list(range(20, 20 + FEW)))
    assert desk.schedule() == f"1: prefill a[3:{4 + FEW}]"
    assert desk.plans[-1].num_tokens == [FEW + 1]


def test_a_step_that_is_full_takes_the_rest_later() -> None:
    desk = Desk(budget=4)
    seq = decoding(desk)
    desk.scheduler.foresight.follow(seq, [11, 12, 13, 14, 15])
    assert desk.schedule() == "1: prefill a[3:7]"
    assert desk.plans[-1].samples == [False]
    desk.commit()
    assert desk.schedule() == "2: prefill a[7:9]"
    assert desk.plans[-1].new_tokens == []
    desk.commit()
    assert desk.commit()[0].token_ids == [TOKEN]
    assert seq.output_ids == [TOKEN, 11, 12, 13, 14, 15, TOKEN]


def test_the_last_token_is_sampled() -> None:
    desk = Desk()
    seq = decoding(desk, max_tokens=3)
    desk.scheduler.foresight.follow(seq, [11, 12, 13])
    assert desk.run() == ["1: prefill a[3:5]"]
    assert seq.output_ids == [TOKEN, 11, TOKEN]
    assert desk.finished() == {"a/0": "length"}


def test_a_stop_token_is_sampled() -> None:
    desk = Desk()
    seq = decoding(desk, stop_token_ids=[12])
    desk.scheduler.foresight.follow(seq, [11, 12, 13])
    assert seq.ahead == [11]


def test_nothing_follows_a_stop_token() -> None:
    desk = Desk()
    seq = decoding(desk, stop_token_ids=[9])
    desk.scheduler.foresight.follow(seq, [11, 12])
    assert desk.schedule() == "1: prefill a[3:6]"
    (output,) = desk.commit(token=9)
    assert (output.token_ids, output.finish_reason) == ([9], "stop")
    assert desk.commit() == []


def test_where_log_probabilities_are_wanted_all_is_sampled() -> None:
    desk = Desk()
    seq = decoding(desk, logprobs=0)
    desk.scheduler.foresight.follow(seq, [11, 12, 13])
    assert desk.schedule() == "1: decode a"


def test_where_tokens_are_banned_all_is_sampled() -> None:
    desk = Desk()
    allowing = decoding(desk, allowed_token_ids=[11])
    desk.scheduler.foresight.follow(allowing, [11, 12])
    allowing.request.bad_word_ids, allowing.request.params.allowed_token_ids = [[12]], None
    desk.scheduler.foresight.follow(allowing, [11, 12])
    assert desk.schedule() == "1: decode a"


def test_the_next_tenant_of_a_row_is_told_nothing() -> None:
    desk = Desk(rows=1)
    desk.scheduler.foresight.follow(decoding(desk), [11, 12])
    desk.scheduler.abort("a")
    desk.add("b", 2)
    assert desk.schedule() == "1: prefill b[0:2]"
    assert desk.plans[-1].new_tokens == []


def test_no_step_runs_ahead_of_a_known_end() -> None:
    desk = Desk()
    desk.scheduler.foresight.end(decoding(desk))
    assert desk.schedule() is None
