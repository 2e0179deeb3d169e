"""Streams of one front end: ids, delivery, and what one request's failure touches."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from inferd.engine.outputs import RequestOutput
from inferd.engine.streams import Stream, Streams
from inferd.engine.unread import MAX_UNREAD
from inferd.errors import EngineDead, RequestError
from inferd.params import SamplingParams
from inferd.types import Logprobs, Request, SequenceOutput


class Broken:
    """A tokenizer that cannot read token 13."""

    def stream(self, _prompt: list[int], _skip: bool) -> Broken:
        return self

    def step(self, token_id: int) -> str:
        if token_id == 13:
            raise ValueError("no such token")
        return "x"

    def flush(self) -> str:
        return ""

    def token_text(self, token_id: int) -> str:
        return f"of {token_id}"


def opened(streams: Streams, name: str, **params: object) -> Stream:
    sampling = SamplingParams(**params)  # type: ignore[arg-type]
    request = Request(request_id=name, prompt_ids=[1], params=sampling, seed=0)
    return streams.open(request, None, Broken())  # type: ignore[arg-type]


def read(stream: Stream) -> RequestOutput:
    return asyncio.run(asyncio.wait_for(stream.unread.get(), 10))


def test_engine_ids_differ_between_front_ends_and_requests() -> None:
    one, other = Streams("one"), Streams("other")
    found = {opened(s, name).engine_id for s in (one, other) for name in "ab"}
    assert len(found) == 4


def test_the_caller_sees_its_own_id() -> None:
    streams = Streams("f")
    stream = opened(streams, "mine")
    assert not streams.deliver(SequenceOutput(stream.engine_id, 0, [1]))
    assert read(stream).request_id == "mine"


def test_an_id_is_free_again_once_its_stream_is_closed() -> None:
    streams = Streams("f")
    stream = opened(streams, "a")
    with pytest.raises(RequestError, match="already running"):
        opened(streams, "a")
    streams.close(stream)
    assert len(streams) == 0
    opened(streams, "a")


def test_a_text_that_cannot_be_read_fails_its_request_alone() -> None:
    streams = Streams("f")
    bad, good = opened(streams, "a"), opened(streams, "b")
    streams.deliver(SequenceOutput(bad.engine_id, 0, [13]))
    streams.deliver(SequenceOutput(good.engine_id, 0, [1]))
    with pytest.raises(RequestError, match="no such token") as caught:
        read(bad)
    assert caught.value.code == "server_error"
    assert read(good).outputs[0].text == "x"


def test_a_stop_string_asks_for_an_abort_once() -> None:
    streams = Streams("f")
    stream = opened(streams, "a", stop=["xx"])
    found = [streams.deliver(SequenceOutput(stream.engine_id, 0, [1])) for _ in range(3)]
    assert found == [False, True, False]
    assert not streams.deliver(SequenceOutput("unknown", 0, [1]))


def test_refusals_and_the_end() -> None:
    streams = Streams("f")
    one, other = opened(streams, "a"), opened(streams, "b")
    streams.refuse(one.engine_id, RequestError("no"))
    streams.refuse("unknown", RequestError("no"))
    streams.fail(EngineDead("gone"))
    with pytest.raises(RequestError, match="no"):
        read(one)
    for _ in range(2):
        with pytest.raises(EngineDead, match="gone"):
            read(other)


def test_what_is_not_read_becomes_one_output_in_order() -> None:
    streams = Streams("f")
    stream = opened(streams, "a", n=2)
    for token in (1, 2, 3, 4, 5):
        for index in range(2):
            streams.deliver(SequenceOutput(stream.engine_id, index, [20 * index + token]))
    streams.fail(EngineDead("gone"))
    found = read(stream)
    assert [o.token_ids for o in found.outputs] == [[1, 2, 3, 4, 5], [21, 22, 23, 24, 25]]
    assert [o.text for o in found.outputs] == ["x" * 5] * 2
    with pytest.raises(EngineDead):
        read(stream)


def candidates(token: int) -> Logprobs:
    """The chosen one is the third most likely of five."""
    return Logprobs([token, *range(1000, 1005)], [-token / 7, *(-i / 3 for i in range(5))], 3)


def test_candidates_that_are_not_read_stay_what_they_are_and_small() -> None:
    streams, tokens = Streams("f"), range(2000, 5000)
    stream, expected = (opened(streams, name, n=2, logprobs=5) for name in "ab")
    for index in range(2):
        tracemalloc.start()
        for token in tokens:
            streams.deliver(
                SequenceOutput(stream.engine_id, index, [token], logprobs=[candidates(token)])
            )
        assert tracemalloc.get_traced_memory()[0] < 300 * len(tokens)
        tracemalloc.stop()
        streams.deliver(
            SequenceOutput(
                expected.engine_id, index, [*tokens], logprobs=[*map(candidates, tokens)]
            )
        )
    assert read(stream).outputs == read(expected).outputs


def test_a_caller_that_never_reads_ends_its_stream() -> None:
    streams = Streams("f")
    stream = opened(streams, "a")
    told = [
        streams.deliver(SequenceOutput(stream.engine_id, 0, [1] * 1000))
        for _ in range(MAX_UNREAD // 1000 + 2)
    ]
    assert told == [False] * (len(told) - 1) + [True]
    assert len(read(stream).outputs[0].token_ids) == 1000 * (len(told) - 1)
    with pytest.raises(RequestError, match="unread") as caught:
        read(stream)
    assert caught.value.code == "slow_reader"
