"""Streams of one front end: ids, delivery, and what one request's failure touches."""

from __future__ import annotations

import pytest

from inferd.engine.streams import Stream, Streams
from inferd.errors import EngineDead, RequestError
from inferd.params import SamplingParams
from inferd.types import Request, SequenceOutput


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


def opened(streams: Streams, name: str, **params: object) -> Stream:
    sampling = SamplingParams(**params)  # type: ignore[arg-type]
    request = Request(request_id=name, prompt_ids=[1], params=sampling, seed=0)
    return streams.open(request, None, Broken())  # type: ignore[arg-type]


def test_engine_ids_differ_between_front_ends_and_requests() -> None:
    one, other = Streams("one"), Streams("other")
    found = {opened(s, name).engine_id for s in (one, other) for name in "ab"}
    assert len(found) == 4


def test_the_caller_sees_its_own_id() -> None:
    streams = Streams("f")
    stream = opened(streams, "mine")
    assert not streams.deliver(SequenceOutput(stream.engine_id, 0, [1]))
    assert stream.queue.get_nowait().request_id == "mine"


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
    error = bad.queue.get_nowait()
    assert isinstance(error, RequestError)
    assert (error.code, "no such token" in str(error)) == ("server_error", True)
    assert good.queue.get_nowait().outputs[0].text == "x"


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
    assert str(one.queue.get_nowait()) == "no"
    assert [str(s.queue.get_nowait()) for s in (one, other)] == ["gone", "gone"]
