"""Every message arrives as it was sent."""

from __future__ import annotations

import msgspec
import pytest

from inferd.contracts.executor import WorkerInfo
from inferd.engine import messages as m
from inferd.errors import RequestError
from inferd.params import SamplingParams
from inferd.types import Logprobs, Request, SequenceOutput, StepStats

PARAMS = SamplingParams(
    n=3,
    temperature=0.5,
    seed=-(2**63),
    stop=["é", "\n"],
    logit_bias={5: -1.5},
    allowed_token_ids=[5, 6],
    bad_words=["x"],
    max_tokens=None,
    logprobs=0,
)
REQUEST = Request(
    request_id="r-1",
    prompt_ids=[0, 2**31 - 1],
    params=PARAMS,
    seed=2**63 - 1,
    eos_ids=[2],
    output_ids=[[1], []],
    bad_word_ids=[[4, 5]],
    priority=-7,
    cache_salt="salt",
    arrival=1.5,
)
TOP = Logprobs([4, 2], [-0.5, -1.25], 1)
OUTPUTS = [
    SequenceOutput("r-1", 0, [4], logprobs=[TOP], prompt_logprobs=[None, TOP], num_cached=16),
    SequenceOutput("r-1", 2, [], "error", error="boom"),
    SequenceOutput("r-1", 1, [2], "stop", stop_reason="é"),
]
INFO = WorkerInfo(64, 10, 8, 4, (("full", None), ("window", 24)), {"dtype": "float32", "n": [1]})


@pytest.mark.parametrize(
    "message",
    [
        m.Hello(),
        m.Add(REQUEST),
        m.Abort("r-1"),
        m.Abort("r-1", 2),
        m.Beat(),
        m.Bye(),
        m.ResetPrefixCache(),
        m.Stop(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_to_the_engine(message: m.ToEngine) -> None:
    assert m.decode_to_engine(m.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        m.Ready.of(INFO),
        m.Failed("DoesNotFit", "too large"),
        m.Refused("r-1", "no", None, "queue_full"),
        m.Outputs(OUTPUTS, StepStats(num_running=3, num_tokens=2**40)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_to_a_front_end(message: m.ToFrontEnd) -> None:
    assert m.decode_to_front_end(m.encode(message)) == message


def test_what_the_worker_reported() -> None:
    ready = m.decode_to_front_end(m.encode(m.Ready.of(INFO)))
    assert isinstance(ready, m.Ready)
    assert ready.info() == INFO


def test_parameters_are_checked_again_on_arrival() -> None:
    payload = m.encode(m.Add(REQUEST)).replace(b"\xa1n\x03", b"\xa1n\x00")
    with pytest.raises((RequestError, msgspec.ValidationError), match="n must be"):
        m.decode_to_engine(payload)


def test_a_token_of_a_stream_is_small() -> None:
    """One message per step and front end: what a row adds to it is a few dozen bytes."""
    one = m.Outputs([SequenceOutput("f0123456789ab-1", 0, [151_000])], StepStats())
    two = m.Outputs(one.outputs * 2, StepStats())
    assert len(m.encode(two)) - len(m.encode(one)) <= 40
